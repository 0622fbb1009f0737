"""Installs the real Triton Inference Server, with the OpenVINO backend, on one machine without containers.

The server comes from the wheel `nvidia-pytriton`. It lives in a folder of its own that is named by its contents: an
upgrade is a new folder, and a folder that exists is complete.
"""

import fcntl
import hashlib
import importlib.util
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("triton-requirements.txt")
OPENVINO_BACKEND = Path(__file__).parents[1] / "triton_backends" / "openvino" / "model.py"
PYTHONS = ((3, 11), (3, 12))
"""Versions for which both a stub of Triton's Python backend and NumPy 1 exist."""
MIN_GLIBC = (2, 35)
INSTALL_TIMEOUT_S = 900
_PACKAGES = Path("lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")
_TRITON = Path("pytriton/tritonserver")


class TritonInstallError(RuntimeError):
    """Says why Triton cannot be installed or run here, and what to do about it."""


@dataclass(frozen=True)
class TritonRuntime:
    """Is an installed Triton."""

    home: Path
    """A Python environment: the server's wheel, and what its Python backend imports."""
    backends: Path
    """Triton's backend directory: `python` and `openvino`."""
    libpython: Path
    """Folder with the shared library of the running Python, which the Python backend's stub embeds."""

    @property
    def server(self) -> Path:
        """The server's program."""
        return self.home / _PACKAGES / _TRITON / "bin/tritonserver"


def ensure_runtime(root: Path, backend: Path = OPENVINO_BACKEND) -> TritonRuntime:
    """Installs Triton below a folder unless it is there, and says where it is.

    Any number of processes may call this at once; one installs, the others wait. An interrupted installation leaves
    nothing that a later call mistakes for a complete one.

    Args:
        root: a folder for all versions, such as `~/.cache/triptych/triton`.
        backend: the source of the `openvino` backend.

    Raises:
        TritonInstallError: this machine cannot run Triton, or the packages cannot be had.
    """
    if not backend.is_file():
        raise TritonInstallError(
            "Triton's OpenVINO backend is not beside this installation: `triptych up` runs from a clone of the "
            "repository, as `make up` or `pip install --editable '.[cluster]'` sets it up"
        )
    home = root / _fingerprint(REQUIREMENTS.read_bytes(), sys.version_info[:2], sys.base_prefix)
    backends = home / f"backends-{_fingerprint(backend.read_bytes())}"
    runtime = TritonRuntime(home, backends, libpython_folder())
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
            _make_environment(scratch)
            _install_packages(scratch / _PACKAGES)
            scratch.rename(runtime.home)
    if not runtime.backends.is_dir():
        with _scratch(root) as scratch:
            _lay_out_backends(scratch, backend)
            scratch.rename(runtime.backends)


def _make_environment(home: Path) -> None:
    """Makes the least that is a virtual environment, and one that may be renamed.

    The stub ignores PYTHONPATH and PYTHONHOME: it finds its packages only through the `python3` that is first on PATH.
    """
    (home / "bin").mkdir()
    (home / "bin/python3").symlink_to(Path(sys.base_prefix, "bin", f"python{_python_version()}"))
    (home / "pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\ninclude-system-site-packages = false\n")


def _install_packages(target: Path) -> None:
    options = ["--target", str(target), "--requirement", str(REQUIREMENTS), "--require-hashes", "--no-deps"]
    command = [*_installer(), "install", *options, "--only-binary=:all:", "--quiet"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)  # noqa: S603 -- our own words
    except subprocess.TimeoutExpired as error:
        raise TritonInstallError(f"Triton's packages did not arrive within {INSTALL_TIMEOUT_S} s") from error
    except subprocess.CalledProcessError as error:
        reason = "\n".join(error.stderr.strip().splitlines()[-5:])
        raise TritonInstallError(
            f"Triton's packages ({REQUIREMENTS.name}, about 110 MB) could not be installed. "
            f"Is the package index within reach?\n{reason}"
        ) from error
    stub = target / _TRITON / "backends/python/triton_python_backend_stub"
    stub.symlink_to(f"../../python_backend_stubs/{_python_version()}/{stub.name}")


def _installer() -> list[str]:
    """Prefers the running Python's pip; environments made by uv have none, but then uv is there."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "--python", sys.executable]
    raise TritonInstallError("neither pip nor uv is here to install Triton: python -m ensurepip")


def _lay_out_backends(folder: Path, backend: Path) -> None:
    # A link, never a copy: the stub finds its libraries relative to its real place.
    (folder / "python").symlink_to(Path("..") / _PACKAGES / _TRITON / "backends/python")
    (folder / "openvino").mkdir()
    shutil.copyfile(backend, folder / "openvino" / "model.py")


def _check_machine() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise TritonInstallError(f"Triton's wheel runs on Linux x86-64, not on {sys.platform} {platform.machine()}")
    if sys.version_info[:2] not in PYTHONS:
        choices = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
        raise TritonInstallError(f"Triton's wheel needs Python {choices} (this is {_python_version()})")
    if (glibc := _glibc_version()) < MIN_GLIBC:
        raise TritonInstallError(
            f"Triton's wheel needs glibc {_dotted(MIN_GLIBC)} or newer (here: {_dotted(glibc) or 'none'}), "
            "as in Ubuntu 22.04 or Debian 12"
        )


def _glibc_version() -> tuple[int, ...]:
    library, version = platform.libc_ver()
    return tuple(int(part) for part in version.split(".")) if library == "glibc" else ()


def libpython_folder() -> Path:
    """Finds the shared library of this Python.

    Raises:
        TritonInstallError: it is not installed.
    """
    library = f"libpython{_python_version()}.so.1.0"
    configured = (sysconfig.get_config_var(name) for name in ("LIBDIR", "LIBPL"))
    folders = [Path(folder) for folder in configured if folder]
    folders += [Path(sys.base_prefix, "lib"), Path("/usr/lib/x86_64-linux-gnu"), Path("/usr/lib64")]
    for folder in folders:
        if (folder / library).exists():
            return folder
    raise TritonInstallError(
        f"Triton's Python backend needs {library}, which this Python came without: apt install "
        f"libpython{_python_version()}"
    )


def _python_version() -> str:
    return _dotted(sys.version_info[:2])


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
