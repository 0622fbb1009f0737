"""Each rival's own virtual environment, made on first use below the user's cache folder."""

import fcntl
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.workload import ROOT
from localcluster.environment import triton_directory

INSTALL_TIMEOUT_S = 900
FUNCTIONS = Path(__file__).with_name("functions.txt")
"""Lists what the bare computation imports; every rival's requirements include it."""


class InstallError(RuntimeError):
    """Says why a rival's packages could not be installed."""


def cache() -> Path:
    """Returns the folder of all environments and logs."""
    return triton_directory().with_name("benchmarks")


def requirements(name: str) -> Path:
    """Returns the file that lists a rival's packages beside FUNCTIONS, every one with its exact version."""
    return Path(__file__).with_name(name) / "requirements.txt"


def ensure_python(name: str) -> Path:
    """Returns the interpreter of a rival's environment, made anew when what it is made of has changed.

    It finds the repository through a `.pth` file, since Triton's Python backend ignores PYTHONPATH.

    Raises:
        InstallError: the packages cannot be had.
    """
    home = cache() / name
    python, stamp = home / "bin" / "python", home / "complete"
    inputs = "\n".join([sys.version, sys.base_prefix, str(ROOT), FUNCTIONS.read_text(), requirements(name).read_text()])
    with _exclusive(home.with_suffix(".lock")):
        if not stamp.exists() or stamp.read_text() != inputs:
            venv.create(home, clear=True, symlinks=True, with_pip=True)
            _install(python, name)
            (_packages(home) / "repository.pth").write_text(f"{ROOT}\n")
            stamp.write_text(inputs)
    return python


def _install(python: Path, name: str) -> None:
    options = ["--disable-pip-version-check", "--no-input", "--quiet", "--requirement", str(requirements(name))]
    command = [str(python), "-m", "pip", "install", *options]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)  # noqa: S603 (ours)
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"The packages of {name} did not arrive within {INSTALL_TIMEOUT_S} s.") from error
    except subprocess.CalledProcessError as error:
        reason = "\n".join(error.stderr.strip().splitlines()[-5:])
        raise InstallError(f"The packages of {name} could not be installed:\n{reason}") from error


def _packages(home: Path) -> Path:
    return home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Lets one process on this machine through at a time; the lock dies with its holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
