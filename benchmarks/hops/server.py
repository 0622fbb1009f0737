"""The server process of one shape: prints its address, then answers until it is ended."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.hops import frames, grpc_hop
from benchmarks.hops.shapes import SHAPES, Shape, codecs
from servicekit.logging import configure_logging
from servicekit.settings import ProcessSettings


async def _start(shape: Shape, directory: Path) -> tuple[Any, str]:
    own = codecs(shape, directory)
    socket = str(directory / "socket")
    if shape.transport == "frames":
        return await frames.serve(shape, socket, own)
    if shape.transport == "servicekit":
        configure_logging(ProcessSettings(), "hop")
        return await grpc_hop.serve_kit(shape, own)
    return await grpc_hop.serve(shape, f"unix:{socket}" if shape.unix else "127.0.0.1:0", own)


async def _run(shape: Shape, directory: Path) -> None:
    _server, address = await _start(shape, directory)
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_run(SHAPES[sys.argv[1]], Path(sys.argv[2])))
