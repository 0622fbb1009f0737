"""Measures what moving data over one hop costs, for several shapes of the hop.

Client and server are two processes on loopback that do no image work; the server answers a constant. CPU is user and
system time of each process, per image. Rounds of all shapes are interleaved; the table holds medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.hops.payload import HOPS
from benchmarks.hops.shapes import KEPT, SHAPES, Shape

ROOT = Path(__file__).parents[2]
FIGURES = ("client_cpu_ms", "server_cpu_ms", "p50_ms", "images_per_s")
CLIENT_LIMIT_S = 60


@contextmanager
def _server(shape: Shape, directory: Path) -> Iterator[tuple[int, str]]:
    """Runs the server of a shape; yields its process id and address."""
    command = [sys.executable, "-m", "benchmarks.hops.server", shape.name, str(directory)]
    with subprocess.Popen(  # noqa: S603 (our own module)
        command,
        cwd=ROOT,
        env={**_environment(), **shape.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if shape.request_log else None,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 (for the type checker)
            yield process.pid, process.stdout.readline().strip()
        finally:
            process.kill()


def _environment() -> dict[str, str]:
    return dict(os.environ)  # noqa: TID251 (handed on, not read)


def measure(shape: Shape, in_flight: int, seconds: float) -> list[dict[str, Any]]:
    """Runs the client of a shape against its server, once, and returns its cells.

    Raises:
        CalledProcessError: the client failed; it has said why.
        TimeoutExpired: it did not end.
    """
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name, _server(shape, Path(name)) as (pid, address):
        command = [sys.executable, "-m", "benchmarks.hops.client", "--shape", shape.name, "--directory", name]
        command += ["--address", address, "--server", str(pid)]
        command += ["--in-flight", str(in_flight), "--seconds", str(seconds)]
        client = subprocess.run(  # noqa: S603 (our own module)
            command,
            cwd=ROOT,
            env={**_environment(), **shape.env},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=CLIENT_LIMIT_S,
        )
    return [json.loads(line) for line in client.stdout.splitlines()]


def medians(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns one cell for each shape, hop and batch, in the order of hop, batch and first appearance."""
    groups: dict[tuple[int, int, str], list[dict[str, Any]]] = defaultdict(list)
    for cell in cells:
        groups[list(HOPS).index(cell["hop"]), cell["images"], cell["shape"]].append(cell)
    ordered = sorted(groups.items(), key=lambda item: item[0][:2])
    return [{**own[0], **{key: statistics.median(cell[key] for cell in own) for key in FIGURES}} for _, own in ordered]


def table(cells: Sequence[dict[str, Any]]) -> str:
    """Returns the cells as a Markdown table."""
    lines = [
        "| hop | images | shape | in flight | client | server | sum, CPU-ms/image | p50, ms | images/s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cell in cells:
        client, server = cell["client_cpu_ms"], cell["server_cpu_ms"]
        lines.append(
            f"| {cell['hop']} | {cell['images']} | {cell['shape']} | {cell['in_flight']} | {client:.3f} | {server:.3f} "
            f"| {client + server:.3f} | {cell['p50_ms']:.2f} | {cell['images_per_s']:.0f} |"
        )
    return "\n".join(lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hops", description=__doc__)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=list(SHAPES), metavar="NAME", help="only these")
    parser.add_argument("--list", action="store_true", help="print the names of the shapes and end")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.7, help="for each cell; a third of it with one in flight")
    parser.add_argument("--in-flight", type=int, default=4, help="messages on the way while CPU is measured")
    parser.add_argument("--keep-memory", action="store_true", help="have malloc keep what is freed, in both processes")
    parser.add_argument("--json", type=Path, help="also write the medians and every round here")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    options = _options(arguments)
    if options.list:
        sys.stdout.write("\n".join(SHAPES) + "\n")
        return 0
    cells: list[dict[str, Any]] = []
    for number in range(options.rounds):
        for name in options.shape:
            sys.stderr.write(f"round {number + 1} of {options.rounds}: {name}\n")
            shape = replace(SHAPES[name], env=KEPT) if options.keep_memory else SHAPES[name]
            cells += measure(shape, options.in_flight, options.seconds)
    result = medians(cells)
    sys.stdout.write(table(result) + "\n")
    if options.json:
        options.json.write_text(json.dumps({"medians": result, "rounds": cells}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
