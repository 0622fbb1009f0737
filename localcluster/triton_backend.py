"""Compiles Triton's `openvino` backend: with the machine's C compiler, or with one that comes as a wheel."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcluster.wheels import InstallError, install

COMPILER = Path(__file__).with_name("compiler-requirements.txt")
LIBRARY = "libtriton_openvino.so"
FLAGS = ("-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden")
_TARGET = ("-target", "x86_64-linux-gnu.2.28")
"""Of the wheel's compiler, which brings every glibc: what OpenVINO's own wheel asks for."""
_TIMEOUT_S = 300


def compile_backend(source: Path, engine: Path, folder: Path) -> None:
    """Compiles the backend into a folder beside the engine's: `<home>/backends-.../openvino`, and `<home>/openvino`.

    Args:
        source: folder with the C files.
        engine: folder of the installed package `openvino`: its headers and libraries.
        folder: for the library; made here.

    Raises:
        InstallError: there is no compiler, and none to be had, or it refuses the source.
    """
    folder.mkdir(parents=True)
    (library,) = (engine / "libs").glob("libopenvino_c.so.*")
    command = [
        *FLAGS,
        *(str(each) for each in sorted(source.glob("*.c"))),
        *("-I", str(engine / "include"), "-o", str(folder / LIBRARY), str(library)),
        "-Wl,-rpath,$ORIGIN/../../openvino/libs",
    ]
    compiler = shutil.which("cc")
    if compiler and not _problem([compiler, *command]):
        return
    with _wheel() as compiler, tempfile.TemporaryDirectory() as cache:
        if problem := _problem([compiler, "cc", *_TARGET, *command], ZIG_GLOBAL_CACHE_DIR=cache):
            raise InstallError(f"Triton's OpenVINO backend does not compile:\n{problem}")


def _problem(command: list[str], **variables: str) -> str:
    """Runs a compiler; returns the end of what it says when it fails."""
    environment = os.environ | variables  # noqa: TID251 -- the compiler's, not ours
    try:
        done = subprocess.run(  # noqa: S603 -- our own words
            command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "\n".join(done.stderr.strip().splitlines()[-10:]) or "no reason is given" if done.returncode else ""


@contextmanager
def _wheel() -> Iterator[str]:
    """Lends the compiler that a wheel brings."""
    with tempfile.TemporaryDirectory(prefix="compiler-") as scratch:
        install(COMPILER, Path(scratch))
        yield str(Path(scratch, "ziglang", "zig"))
