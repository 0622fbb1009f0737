"""The images: which there are, how they are built, and how large they may be."""

import tomllib
from pathlib import Path

from tools.containers.base_image import ensure_base_image
from tools.containers.command import run, succeeds
from tools.containers.engine import Engine
from tools.containers.machine import BuildSettings

ROOT = Path(__file__).parents[2]
MB = 1_000_000
LIMITS_MB = {
    "gateway": 250,
    "preprocess": 250,
    "inference": 250,
    "postprocess": 250,
    "experiments": 250,
    "triton-cpu": 600,
    "models": 100,
    "modelkit": 2500,
}
"""Every image, with the most that it may take unpacked; the services' come without a model."""
BUILD_TIMEOUT_S = 1200


def version() -> str:
    """Returns the version that the images carry: the distribution's."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def revision() -> str:
    """Returns the commit that images are built from, `-dirty` where files differ; nothing where there is no git."""
    describe = ("git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty")
    return run(describe).strip() if succeeds(*describe) else ""


def image_name(target: str) -> str:
    """Returns the name of an image."""
    return f"triptych/{target}:{version()}"


def build(engine: Engine, settings: BuildSettings, target: str) -> None:
    """Builds one image; steps that were built before are not built again.

    Raises:
        CommandError: the build failed.
    """
    ensure_base_image(engine)
    options = ["--target", target, "--tag", image_name(target), "--build-arg", f"VERSION={version()}"]
    options += ["--label", f"org.opencontainers.image.revision={revision()}"]
    for name, file in settings.secrets.items():
        options += ["--secret", f"id={name},src={file}"]
    if engine.lends_folders:
        for path in settings.lent:
            options += ["--volume", f"{path}:{path}:ro"]
        options.append("--layers")
    engine("build", *options, str(ROOT), timeout_s=BUILD_TIMEOUT_S)


def size_mb(engine: Engine, target: str) -> int:
    """Returns what an image takes unpacked, rounded up."""
    return -(-engine.size_bytes(image_name(target)) // MB)


def size_line(target: str, size: int) -> str:
    """Returns a line of the table of sizes."""
    return f"{image_name(target):<32} {size:>5} MB  (limit {LIMITS_MB[target]} MB)"
