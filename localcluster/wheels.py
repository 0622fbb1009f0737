"""Installs wheels whose names and hashes a file lists into a folder, apart from every Python environment."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

TIMEOUT_S = 900


class InstallError(RuntimeError):
    """Says why something cannot be installed here, and what to do about it."""


def install(requirements: Path, target: Path) -> None:
    """Installs what a file lists, without what that depends on.

    Raises:
        InstallError: the packages cannot be had.
    """
    options = ["--target", str(target), "--requirement", str(requirements), "--require-hashes", "--no-deps"]
    command = [*_installer(), "install", *options, "--only-binary=:all:", "--quiet"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)  # noqa: S603 -- our own words
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"The packages of {requirements.name} did not arrive within {TIMEOUT_S} s") from error
    except subprocess.CalledProcessError as error:
        reason = "\n".join(error.stderr.strip().splitlines()[-5:])
        raise InstallError(
            f"The packages of {requirements.name} could not be installed. Is the package index within reach?\n{reason}"
        ) from error


def _installer() -> list[str]:
    """Prefers the running Python's pip; environments made by uv have none, but then uv is there."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "--python", sys.executable]
    raise InstallError("neither pip nor uv is here to install Triton: python -m ensurepip")
