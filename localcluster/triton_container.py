"""Is the first process of the image `triton-cpu`: `python -m localcluster.triton_container [flags of Triton ...]`.

It starts Triton with the flags of the local cluster, of which only the addresses differ, and those that it is given.
It ends with Triton, and ends Triton when that has lost a process that runs a model: whoever runs the container starts
it again. With `--check` it only asks the Triton of this container how it is.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.request import urlopen

from localcluster.triton_command import MODEL_CACHE, TritonEndpoints, remove_shared_memory, triton_command
from localcluster.triton_runtime import TritonRuntime, ensure_runtime
from localcluster.triton_watch import until_stub_dies

RUNTIME = Path("/opt/triton")
REPOSITORY = Path("/models")
ENDPOINTS = TritonEndpoints(grpc_port=8001, metrics_port=8002, host="0.0.0.0")  # noqa: S104 (the container's own network)
EVERY_MODEL = "*"
CHECK_TIMEOUT_S = 2
OTLP_ENDPOINT = "TRIPTYCH_OTLP_ENDPOINT"
"""The variable that the services read as well."""


def command(runtime: TritonRuntime, flags: Sequence[str], otlp_endpoint: str = "") -> tuple[list[str], dict[str, str]]:
    """Returns the command line of Triton, and the variables that it needs beside those of the container.

    Args:
        runtime: where Triton is installed.
        flags: more of Triton's own. Without `--load-model` among them it loads every model of the repository.
        otlp_endpoint: where traces are sent; without it nothing is traced.
    """
    models = [] if any(flag.startswith("--load-model") for flag in flags) else [EVERY_MODEL]
    argv, variables = triton_command(runtime, REPOSITORY, ENDPOINTS, models, otlp_endpoint=otlp_endpoint)
    del variables[MODEL_CACHE]  # there is no place for it: the root is read-only
    return [*argv, *flags], variables


async def run(argv: Sequence[str], variables: dict[str, str]) -> int:
    """Runs Triton until it ends, and hands signals on to it. Returns its exit code."""
    remove_shared_memory(ENDPOINTS)  # what a killed one left, where the memory outlives the container
    environment = os.environ | variables  # noqa: TID251 (Triton's, not ours)
    triton = await asyncio.create_subprocess_exec(*argv, env=environment)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, triton.send_signal, number)
    watch = asyncio.create_task(_end_when_broken(triton))
    code = await triton.wait()
    watch.cancel()
    return code


async def _end_when_broken(triton: asyncio.subprocess.Process) -> None:
    reason = await until_stub_dies(triton.pid)
    sys.stderr.write(f"Triton {reason}: it is killed, and has to be started again.\n")
    triton.kill()


def check() -> str:
    """Returns what is wrong with the Triton of this container, in a line; nothing when it has a model."""
    try:
        with urlopen(f"http://127.0.0.1:{ENDPOINTS.metrics_port}/metrics", timeout=CHECK_TIMEOUT_S) as answer:
            metrics = answer.read().decode()
    except OSError as error:
        return f"Triton does not answer: {error}"
    return "" if "nv_inference_count{" in metrics else "Triton has no model."


def main(arguments: Sequence[str]) -> int | str:
    """Runs Triton, or asks how it is. Returns the exit code, or what is wrong."""
    if list(arguments) == ["--check"]:
        return check()
    otlp_endpoint = os.environ.get(OTLP_ENDPOINT, "")  # noqa: TID251 (this image has none of the settings' packages)
    return asyncio.run(run(*command(ensure_runtime(RUNTIME), arguments, otlp_endpoint)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) or 0)
