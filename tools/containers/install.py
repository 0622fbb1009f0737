"""Installs what an extra of the distribution requires into an image's environment, apart from our own code.

    python install.py gateway [pip's options ...]

It runs while images are built, in a folder with pyproject.toml and constraints.txt, and needs only Python and pip.
Dependencies are a layer of their own that way, which a change of our code leaves as it is.
"""

import compileall
import py_compile
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TOOLS = "/opt/tools/bin/pip"
VENV = Path("/opt/venv")
PACKAGES = VENV / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
COMMAND_LINE = ("rich", "typer")
"""What only the `triptych` command needs, which no service starts."""
TENSORS = ("numpy",)
"""What the experiments service, which sees neither tensors nor links, does without (50 MB)."""
NEVER_USED = (
    *("**/tests", "**/*.pyi", "**/*.pyx", "**/*.pxd", "**/*.h"),
    *("numpy/distutils", "numpy/f2py", "numpy/_core/_simd.*"),
    *("sqlalchemy/testing", "alembic/testing"),
    # Parsers of formats that nobody may send, and the drawing of text: what is not there cannot be attacked.
    *("PIL/_avif.*", "PIL/_imagingft.*"),
    *("pillow.libs/libavif-*", "pillow.libs/libfreetype-*", "pillow.libs/libharfbuzz-*"),
)
"""What packages bring, and no process of ours loads."""


def requirements(project: dict[str, Any], extra: str) -> list[str]:
    """Returns the requirements of an extra, those of the client's library among them, sorted.

    Args:
        project: the table `project` of pyproject.toml.
        extra: the name of one of its extras; `modelkit` is a command line, so it gets what that needs.

    Raises:
        KeyError: there is no such extra.
    """
    found = {*project["dependencies"], *_expand(project, extra)}
    unused: tuple[str, ...] = {"modelkit": (), "experiments": COMMAND_LINE + TENSORS}.get(extra, COMMAND_LINE)
    return sorted(each for each in found if not each.startswith(unused))


def _expand(project: dict[str, Any], extra: str) -> Iterator[str]:
    own = f"{project['name']}["
    for requirement in project["optional-dependencies"][extra]:
        if not requirement.startswith(own):
            yield requirement
            continue
        for name in requirement.removeprefix(own).removesuffix("]").split(","):
            yield from _expand(project, name.strip())


def install(extra: str, options: Sequence[str]) -> None:
    """Installs an extra's requirements, made small and compiled.

    Raises:
        CalledProcessError: pip could not.
    """
    wanted = requirements(tomllib.loads(Path("pyproject.toml").read_text())["project"], extra)
    pip = [TOOLS, "--python", str(VENV), "install", "--no-compile", "--constraint", "constraints.txt"]
    subprocess.run([*pip, *options, *wanted], check=True)  # noqa: S603 -- words of our own and of who builds
    if extra != "modelkit":  # who makes models may want all of it
        shrink()
    compile_all(VENV)


def shrink() -> None:
    """Removes what is never used: files, and what only a debugger reads of extension modules (40 of inference's MB)."""
    for each in [path for pattern in NEVER_USED for path in PACKAGES.glob(pattern)]:
        if each.is_dir():
            shutil.rmtree(each)
        else:
            each.unlink(missing_ok=True)  # it was below a folder that is gone
    modules = map(str, PACKAGES.rglob("*.cpython-*.so"))
    subprocess.run(["/usr/bin/strip", "--strip-debug", *modules], check=True)  # noqa: S603 -- files that were just installed


def compile_all(folder: Path) -> None:
    """Compiles every module; the files' times, which differ from build to build, are of no account."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(folder, quiet=2, workers=0, invalidation_mode=mode)


if __name__ == "__main__":
    install(sys.argv[1], sys.argv[2:])
