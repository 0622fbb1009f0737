"""Where Fashion-MNIST comes from: the Debian package `dataset-fashion-mnist` (MIT)."""

import gzip
import struct
import subprocess
from pathlib import Path

from modelkit.shelf import exclusive, scratch

PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")


class NoDataError(Exception):
    """Says how to get the data set."""


def fashion_mnist(cache: Path) -> Path:
    """Returns the folder of its IDX files: where the package is installed, else from the package, which is fetched.

    A fetch that was cut off leaves no folder of that name.

    Args:
        cache: folder to unpack into; nothing is installed, so nobody need be root.

    Raises:
        NoDataError: there is no such package to be had.
    """
    if INSTALLED.is_dir():
        return INSTALLED
    inside = INSTALLED.relative_to("/")
    unpacked = cache / inside
    unpacked.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(cache):
        if not unpacked.is_dir():
            with scratch(cache) as unfinished:
                _fetch(unfinished)
                (unfinished / inside).rename(unpacked)
    return unpacked


def _fetch(folder: Path) -> None:
    """Downloads the package and unpacks it; where apt does not know it, its lists are brought up to date first."""
    try:
        try:
            _run(folder, "apt-get", "download", PACKAGE)
        except subprocess.CalledProcessError:
            _run(folder, "apt-get", "-qq", "update")  # as root only
            _run(folder, "apt-get", "download", PACKAGE)
        (package,) = folder.glob(f"{PACKAGE}_*.deb")
        _run(folder, "dpkg-deb", "--extract", package.name, ".")
    except (OSError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", "") or error
        raise NoDataError(f"install {PACKAGE} (Debian, Ubuntu), or name its folder with --source: {told}") from error


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)  # noqa: S603 -- fixed words


def first(source: Path, pictures: dict[str, int], folder: Path) -> Path:
    """Writes IDX files of the first pictures of each split; returns their folder.

    Args:
        source: folder of whole IDX files.
        pictures: how many, by the name that the files begin with: `train`, `t10k`.
        folder: to write into.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in pictures.items():
        for kind, header in (("images-idx3", 16), ("labels-idx1", 8)):
            name = f"{split}-{kind}-ubyte.gz"
            content = gzip.decompress((source / name).read_bytes())
            size = (len(content) - header) // struct.unpack(">I", content[4:8])[0]
            kept = content[:4] + struct.pack(">I", count) + content[8 : header + count * size]
            (folder / name).write_bytes(gzip.compress(kept, 1))
    return folder
