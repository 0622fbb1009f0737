"""Is the first process of the image `triton-cpu`: `python -m localcluster.triton_container [flags of Triton ...]`.

It becomes Triton, with the flags of the local cluster, of which only the addresses differ, and those that it is given.
With `--check` it only asks the Triton of this container how it is.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn
from urllib.request import urlopen

from localcluster.triton_command import MODEL_CACHE, TritonEndpoints, triton_command
from localcluster.triton_runtime import TritonRuntime, ensure_runtime

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


def check() -> str:
    """Returns what is wrong with the Triton of this container, in a line; nothing when it has a model."""
    try:
        with urlopen(f"http://127.0.0.1:{ENDPOINTS.metrics_port}/metrics", timeout=CHECK_TIMEOUT_S) as answer:
            metrics = answer.read().decode()
    except OSError as error:
        return f"Triton does not answer: {error}"
    return "" if "nv_inference_count{" in metrics else "Triton has no model."


def become_triton(flags: Sequence[str]) -> NoReturn:
    """Turns this process into Triton, which so gets the container's signals itself."""
    otlp_endpoint = os.environ.get(OTLP_ENDPOINT, "")  # noqa: TID251 (this image has none of the settings' packages)
    argv, variables = command(ensure_runtime(RUNTIME), flags, otlp_endpoint)
    os.execve(argv[0], argv, os.environ | variables)  # noqa: S606, TID251 (Triton's own: threads and such can be set)


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(check() or 0)
    become_triton(sys.argv[1:])
