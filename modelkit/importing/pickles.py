"""Turns a pickle of weights (`.pt`, `.pth`, `.bin`) into safetensors, in a process that cannot do harm."""

import subprocess
import sys
from pathlib import Path

from modelkit.importing import sandbox
from modelkit.train.recipe import RecipeError

SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
WARNING = (
    "{file} is a pickle, which can hold programs: it was read in a process without network that runs none of them. "
    "Prefer safetensors."
)
_SECONDS = 600


def convert(source: Path, target: Path) -> None:
    """Writes the weights of a pickle as safetensors.

    Raises:
        RecipeError: the file is too large, holds more than weights, or is damaged.
    """
    size = source.stat().st_size
    if size > sandbox.MAX_BYTES:
        raise RecipeError(f"{source} has {size} bytes; the limit is {sandbox.MAX_BYTES}")
    command = [sys.executable, "-I", str(Path(sandbox.__file__)), str(source.resolve()), str(target.resolve())]
    try:
        done = subprocess.run(  # noqa: S603 -- our own program; the file is only data to it
            command, capture_output=True, text=True, timeout=_SECONDS, env={}, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise RecipeError(f"{source} was not read within {_SECONDS} s") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()
        why = said[-1] if said else f"it ended with {done.returncode}"
        raise RecipeError(f"{source} holds no plain weights that could be read safely: {why[:300]}")
