"""Triton with an ensemble of three Python models. `python -m benchmarks.rivals.triton.serve PORT`.

This process becomes Triton. The server is the one that `triptych up` runs, from this rival's own environment; the
models run there too: the server's Python backend takes the first `python3` on PATH.
"""

import os
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

MODELS = Path(__file__).with_name("models")
STUB = "triton_python_backend_stub"


def command(port: int) -> tuple[list[str], dict[str, str]]:
    """Returns the command line of the server, and its whole environment."""
    server = _server()
    flags = [
        f"--model-repository={MODELS}",
        f"--backend-directory={server / 'backends'}",
        "--disable-auto-complete-config",
        "--allow-grpc=false",
        "--allow-metrics=false",
        "--http-address=127.0.0.1",
        f"--http-port={port}",
        "--exit-timeout-secs=5",
        "--pinned-memory-pool-byte-size=0",
        f"--backend-config=python,shm-region-prefix-name=triptych-rival-{port}-",
    ]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    libraries = sysconfig.get_config_var("LIBDIR")  # with libpython, which the stub embeds
    return [str(server / "bin/tritonserver"), *flags], {
        "PATH": path,
        "LC_ALL": "C.UTF-8",
        "LD_LIBRARY_PATH": libraries,
    }


def _server() -> Path:
    """Returns the folder of the server, with the stub for this Python beside its Python backend."""
    spec = find_spec("pytriton")
    assert spec is not None and spec.origin is not None, "nvidia-pytriton is not installed"  # noqa: S101, PT018
    server = Path(spec.origin).parent / "tritonserver"
    stub = server / "backends/python" / STUB
    if not stub.exists():
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stub.symlink_to(f"../../python_backend_stubs/{version}/{STUB}")
    return server


if __name__ == "__main__":
    argv, environment = command(int(sys.argv[1]))
    os.execve(argv[0], argv, environment)  # noqa: S606 (ours)
