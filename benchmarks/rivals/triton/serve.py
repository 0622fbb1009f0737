"""Triton with an ensemble of three Python models. `python -m benchmarks.rivals.triton.serve PORT`.

This process becomes Triton. The server is the one that `triptych up` runs; the models run in this rival's environment,
which the server's stub finds as the first `python3` on PATH.
"""

import os
import sys
from pathlib import Path

from localcluster.environment import triton_directory
from localcluster.triton_command import LOOPBACK
from localcluster.triton_runtime import ensure_runtime

MODELS = Path(__file__).with_name("models")


def command(port: int) -> tuple[list[str], dict[str, str]]:
    """Returns the command line of the server, and its whole environment."""
    runtime = ensure_runtime(triton_directory())
    flags = [
        f"--model-repository={MODELS}",
        f"--backend-directory={runtime.backends}",
        "--disable-auto-complete-config",
        "--allow-grpc=false",
        "--allow-metrics=false",
        f"--http-address={LOOPBACK}",
        f"--http-port={port}",
        "--exit-timeout-secs=5",
        "--pinned-memory-pool-byte-size=0",
        f"--backend-config=python,shm-region-prefix-name=triptych-rival-{port}-",
    ]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return [str(runtime.server), *flags], {"PATH": path, "LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": str(runtime.libpython)}


if __name__ == "__main__":
    argv, environment = command(int(sys.argv[1]))
    os.execve(argv[0], argv, environment)  # noqa: S606 (ours)
