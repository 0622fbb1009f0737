"""Makes the base image of our Dockerfile where no registry can be reached.

It is Debian with its own Python, which stands where the official image has it, under the official image's name: the
Dockerfile needs no change. It holds nothing of this machine but, if that has one, the address of its Debian mirror.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from tools.containers.command import CommandError, run
from tools.containers.engine import Engine, EngineError
from tools.containers.machine import debian_mirror

NAME = "docker.io/library/python:3.11-slim-bookworm"
RELEASE = "bookworm"
PYTHON = "/usr/bin/python3.11"
PACKAGES = ("ca-certificates", "libpython3.11", "netbase", "python3", "python3-venv", "tzdata")
NOT_IN_SLIM = ("usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man", "var/log")
EMPTIED = ("var/cache/apt/archives", "var/lib/apt/lists")
PULL_TIMEOUT_S = 300


def ensure_base_image(engine: Engine) -> None:
    """Sees to it that the base image is here: pulls it, or else makes it.

    Raises:
        EngineError: neither can be done.
    """
    if engine.has_image(NAME):
        return
    try:
        engine("pull", "--quiet", NAME, timeout_s=PULL_TIMEOUT_S)
    except CommandError as error:
        if not shutil.which("debootstrap"):
            raise EngineError(f"{NAME} cannot be pulled, and there is no debootstrap to make it: {error}") from None
        sys.stdout.write(f"{NAME} cannot be pulled: making it of Debian's packages.\n")
        _make(engine)


def _make(engine: Engine) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "root")
        packages = f"--include={','.join(PACKAGES)}"
        mirror = debian_mirror(RELEASE)
        run(["debootstrap", "--variant=minbase", packages, RELEASE, str(root), *([mirror] if mirror else [])], 600)
        _make_slim(root)
        archive = Path(scratch, "root.tar")
        run(["tar", "--directory", str(root), "--create", "--file", str(archive), "."])
        path = "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
        engine("import", "--change", path, "--change", 'CMD ["python3"]', str(archive), NAME)


def _make_slim(root: Path) -> None:
    for name in ("python", "python3", "python3.11"):
        (root / "usr/local/bin" / name).symlink_to(PYTHON)
    for folder in NOT_IN_SLIM:
        shutil.rmtree(root / folder)
        (root / folder).mkdir()
    for folder in EMPTIED:
        shutil.rmtree(root / folder)
        (root / folder / "partial").mkdir(parents=True)
