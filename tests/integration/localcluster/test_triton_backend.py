"""Compiling the `openvino` backend: with the machine's compiler, without one, and when it cannot be."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from localcluster import triton_backend
from localcluster.environment import triton_directory
from localcluster.triton_backend import COMPILER, LIBRARY, compile_backend
from localcluster.triton_runtime import OPENVINO_BACKEND, ensure_runtime
from localcluster.wheels import InstallError

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(shutil.which("cc") is None, reason="a C compiler is needed, called cc"),
]

CALLS = {"Initialize", "Finalize", "ModelInitialize", "ModelFinalize"}
CALLS |= {"ModelInstanceInitialize", "ModelInstanceFinalize", "ModelInstanceExecute"}


@pytest.fixture
def engine() -> Path:
    """Returns the folder of the installed OpenVINO."""
    return ensure_runtime(triton_directory()).home / "openvino"


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Puts a script in the place of the wheel's compiler, which really builds the image; lists what is fetched."""
    installed = []

    def install(requirements: Path, target: Path) -> None:
        installed.append(requirements)
        (target / "ziglang").mkdir()
        script = target / "ziglang" / "zig"
        script.write_text('#!/bin/sh\n[ "$1 $2" = "cc -target" ] || exit 1\nshift 3\nexec cc "$@"\n')
        script.chmod(0o755)

    monkeypatch.setattr(triton_backend, "install", install)
    return installed


def _entries(engine: Path, folder: Path) -> set[str]:
    for name in ("libtbb.so.12", "libopenvino.so.*", "libopenvino_c.so.*"):  # what the library wants, from where it is
        (needed,) = (engine / "libs").glob(name)
        ctypes.CDLL(str(needed), mode=ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(str(folder / LIBRARY), mode=os.RTLD_LAZY)  # Triton brings the rest
    return {call for call in CALLS if hasattr(library, f"TRITONBACKEND_{call}")}


def test_the_machines_compiler_comes_first(engine: Path, tmp_path: Path, wheel: list[Path]) -> None:
    """The library has every entry that Triton looks for; nothing is fetched."""
    compile_backend(OPENVINO_BACKEND, engine, tmp_path / "openvino")
    assert CALLS == _entries(engine, tmp_path / "openvino")
    assert [] == wheel


@pytest.mark.parametrize("script", [None, "#!/bin/sh\nexit 1\n"], ids=["none", "broken"])
def test_a_wheel_compiles_where_nothing_else_does(
    engine: Path, tmp_path: Path, wheel: list[Path], monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    """Without a `cc`, or with one that fails, the compiler of a wheel is fetched."""
    if script:
        (tmp_path / "cc").write_text(script)
        (tmp_path / "cc").chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(tmp_path / name) if script else None)
    compile_backend(OPENVINO_BACKEND, engine, tmp_path / "openvino")
    assert CALLS == _entries(engine, tmp_path / "openvino")
    assert [COMPILER] == wheel


def test_the_compiler_has_no_complaints(engine: Path) -> None:
    """The source is clean C11 for the machine's compiler, with its warnings on."""
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion", "-fsyntax-only"]
    sources = [str(each) for each in sorted(OPENVINO_BACKEND.glob("*.c"))]
    command = ["cc", *flags, "-I", str(engine / "include"), *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "" == done.stderr


def test_source_that_does_not_compile_is_told(engine: Path, tmp_path: Path, wheel: list[Path]) -> None:
    """The compiler's own words are in the error, after both compilers have refused."""
    (tmp_path / "backend.c").write_text("int broken(\n")
    with pytest.raises(InstallError, match=r"does not compile:\n(.|\n)*backend\.c:"):
        compile_backend(tmp_path, engine, tmp_path / "openvino")
    assert [COMPILER] == wheel
