"""Installs the real Triton Inference Server, with the OpenVINO backend, on one machine without containers.

The server comes from the wheel `nvidia-pytriton`, the engine from the wheel `openvino`; the backend between them is
compiled here. Everything lives in folders that are named by what they are made of: an upgrade is a new folder, and a
folder that exists is complete.
"""

import fcntl
import hashlib
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcluster.triton_backend import FLAGS, compile_backend
from localcluster.wheels import InstallError, install

REQUIREMENTS = Path(__file__).with_name("triton-requirements.txt")
OPENVINO_BACKEND = Path(__file__).parents[1] / "triton_backends" / "openvino"
PYTHONS = ((3, 11), (3, 12))
"""Versions for which REQUIREMENTS names a wheel of OpenVINO."""
MIN_GLIBC = (2, 35)
_KEPT = ("pytriton/tritonserver/bin", "nvidia_pytriton.libs", "openvino/libs", "openvino/include/openvino/c")
_UNUSED = ("libopenvino_intel_[gn]pu_plugin.so", "libopenvino_*tensorflow*", "libopenvino_pytorch*", "cache.json")
"""Of OpenVINO's libraries: other devices, other formats, and what was tuned for GPUs."""


@dataclass(frozen=True)
class TritonRuntime:
    """Is an installed Triton."""

    home: Path
    """The server and the engine."""
    backends: Path
    """Triton's backend directory: `openvino`."""

    @property
    def server(self) -> Path:
        """The server's program."""
        return self.home / "pytriton/tritonserver/bin/tritonserver"


def ensure_runtime(root: Path, backend: Path = OPENVINO_BACKEND) -> TritonRuntime:
    """Installs Triton below a folder unless it is there, and says where it is.

    Any number of processes may call this at once; one installs, the others wait. An interrupted installation leaves
    nothing that a later call mistakes for a complete one.

    Args:
        root: a folder for all versions, such as `~/.cache/triptych/triton`.
        backend: folder with the source of the `openvino` backend.

    Raises:
        InstallError: this machine cannot run Triton, or the packages cannot be had, or do not compile.
    """
    if not backend.is_dir():
        raise InstallError(
            "Triton's OpenVINO backend is not beside this installation: `triptych up` runs from a clone of the "
            "repository, as `make up` or `pip install --editable '.[cluster]'` sets it up"
        )
    home = root / _fingerprint(REQUIREMENTS.read_bytes(), sys.version_info[:2], _KEPT, _UNUSED)
    sources = sorted(backend.glob("*.[ch]"))
    made_of = (FLAGS, *(each.read_bytes() for each in sources))
    runtime = TritonRuntime(home, home / f"backends-{_fingerprint(*made_of)}")
    if not runtime.backends.is_dir():
        _check_machine()
        root.mkdir(parents=True, exist_ok=True)
        with _exclusive(root):
            _build(runtime, backend)
    return runtime


def _fingerprint(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def _build(runtime: TritonRuntime, backend: Path) -> None:
    """Builds what is missing, each folder complete before it gets its name."""
    root = runtime.home.parent
    for leftover in root.glob(".build-*"):  # nobody else builds while we hold the lock: its builder died
        shutil.rmtree(leftover, ignore_errors=True)
    if not runtime.home.is_dir():
        with _scratch(root) as scratch:
            install(REQUIREMENTS, scratch / "packages")
            _keep(scratch / "packages", scratch / "home")
            (scratch / "home").rename(runtime.home)
    if not runtime.backends.is_dir():
        with _scratch(root) as scratch:
            compile_backend(backend, runtime.home / "openvino", scratch / "backends" / "openvino")
            (scratch / "backends").rename(runtime.backends)


def _keep(packages: Path, home: Path) -> None:
    """Moves what runs, a fifth less than the wheels hold: nothing here is imported by Python."""
    for name in _KEPT:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).rename(home / name)
    for pattern in _UNUSED:
        for library in (home / "openvino/libs").glob(pattern):
            library.unlink()


def _check_machine() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise InstallError(f"Triton's wheel runs on Linux x86-64, not on {sys.platform} {platform.machine()}")
    if sys.version_info[:2] not in PYTHONS:
        choices = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
        raise InstallError(f"Triton is installed with Python {choices} (this is {_dotted(sys.version_info[:2])})")
    if (glibc := _glibc_version()) < MIN_GLIBC:
        raise InstallError(
            f"Triton's wheel needs glibc {_dotted(MIN_GLIBC)} or newer (here: {_dotted(glibc) or 'none'}), "
            "as in Ubuntu 22.04 or Debian 12"
        )


def _glibc_version() -> tuple[int, ...]:
    library, version = platform.libc_ver()
    return tuple(int(part) for part in version.split(".")) if library == "glibc" else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    scratch = Path(tempfile.mkdtemp(prefix=".build-", dir=folder))
    scratch.chmod(0o755)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Lets one process on this machine through at a time; the lock dies with its holder."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
