"""What this machine tells pip and apt: they work inside a build as they do outside, and no image knows of it."""

import ast
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.containers.command import run, succeeds

APT_SETTINGS = ("Acquire::http", "Acquire::https", "Acquire::Check-")


@dataclass(frozen=True)
class BuildSettings:
    """Is what a build is given beside the repository."""

    secrets: dict[str, Path]
    """Files that the Dockerfile's steps find while they run, by the names that it has for them."""
    lent: tuple[Path, ...]
    """Local folders and files that pip's settings name; only podman can lend them to a build."""


def build_settings(folder: Path) -> BuildSettings:
    """Collects the settings of this machine, and writes what is no file yet below `folder`."""
    pip = _pip_settings()
    pip.pop("cert", None)  # it is where the image has its certificates, which the secret takes the place of
    folder.mkdir(parents=True, exist_ok=True)
    secrets = {"pip.conf": folder / "pip.conf", "apt.conf": folder / "apt.conf"}
    secrets["pip.conf"].write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in pip.items()))
    secrets["apt.conf"].write_text(_apt_settings())
    certificates = ssl.get_default_verify_paths().cafile
    if certificates is not None:
        secrets["ca.crt"] = Path(certificates)
    words = [word.removeprefix("file://") for value in pip.values() for word in value.split()]
    named = {_whole(Path(word)) for word in words if word.startswith("/")}
    return BuildSettings(secrets, tuple(sorted(each for each in named if each.exists())))


def debian_mirror(codename: str) -> str:
    """Returns where this machine gets Debian from, or nothing when it does not have that release."""
    if not succeeds("apt-get", "--version"):
        return ""
    wanted = ("Created-By: Packages", f"Codename: {codename}", "Component: main")
    found = run(["apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted]).split()
    return found[0].removesuffix("/") if found else ""


def _pip_settings() -> dict[str, str]:
    """Returns pip's settings from all its files and variables; the variables win."""
    lines = run([sys.executable, "-m", "pip", "config", "list"]).splitlines()
    pairs = [line.partition("=")[::2] for line in lines if line.startswith(("global.", "install.", ":env:."))]
    pairs.sort(key=lambda pair: pair[0].startswith(":env:"))
    return {key.rpartition(".")[2]: str(ast.literal_eval(value)) for key, value in pairs if not key.endswith(".config")}


def _apt_settings() -> str:
    if not succeeds("apt-config", "--version"):
        return ""
    return "".join(f"{line}\n" for line in run(["apt-config", "dump"]).splitlines() if line.startswith(APT_SETTINGS))


def _whole(path: Path) -> Path:
    """Returns what to lend: an index of packages, `simple`, may point to files beside it."""
    return path.parent if path.name == "simple" else path
