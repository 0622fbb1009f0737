"""A run's folder: what went in, how it went, what came out."""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import yaml
from pydantic import BaseModel

from modelkit.train.files import remove_unfinished, write_atomically, write_json
from modelkit.train.recipe import RecipeError, Served, dump_recipe

RECIPE_FILE = "recipe.yaml"
METRICS_FILE = "metrics.jsonl"
RESULT_FILE = "result.json"
LINEAGE_FILE = "lineage.json"
ENVIRONMENT_FILE = "environment.json"

_PACKAGES = ("triptych", "torch", "transformers", "torch-pruning", "numpy", "safetensors")


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Names a commit of a hub's repository, where weights came from."""

    repository: str
    commit: str


Parent = Path | Served | Downloaded


class Conditions(Protocol):
    """Is what a recipe says of the machine that it runs on."""

    @property
    def seed(self) -> int:
        """Of all randomness."""
        ...

    @property
    def threads(self) -> int | None:
        """Of torch."""
        ...

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        ...


def start(folder: Path, recipe: BaseModel, *, resume: bool) -> None:
    """Makes the folder of a new run, or checks that an old one is of the same recipe.

    Raises:
        RecipeError: the run exists and is not to be resumed, or its recipe was another one.
    """
    path = folder / RECIPE_FILE
    text = dump_recipe(recipe)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
        return
    if not resume:
        raise RecipeError(f"{folder} exists: --resume goes on with it, another name starts anew")
    if path.read_text(encoding="utf-8") != text:
        changed = ", ".join(_changed(yaml.safe_load(path.read_text(encoding="utf-8")), recipe.model_dump(mode="json")))
        raise RecipeError(f"{folder} was started with another recipe, which differs in {changed}: choose another name")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a run's folder, and removes what a killed one left half-written.

    Where the file system has no locks, it does neither.

    Raises:
        RecipeError: another process works in it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _locked(descriptor, folder):
            remove_unfinished(folder)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int, folder: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes with its holder, also by kill -9
    except BlockingIOError as error:
        raise RecipeError(f"another process works in {folder}: wait for it, or choose another name") from error
    except OSError:  # some network file systems have no locks
        return False
    return True


@contextmanager
def beginning(folder: Path) -> Iterator[None]:
    """Removes a run that is refused before anything was learnt, so that the mended recipe may have its name."""
    try:
        yield
    except ValueError:  # RecipeError, DataError
        if {each.name for each in folder.glob("*")} <= {RECIPE_FILE, ENVIRONMENT_FILE}:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _changed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [key for key in new if old.get(key) != new[key]]


def finished(folder: Path) -> bool:
    """Says whether the run came to its end."""
    return (folder / RESULT_FILE).exists()


def check_origin(folder: Path, parents: Mapping[str, Parent], file: str) -> None:
    """Refuses a finished run whose parents are not any more what it was made of.

    Args:
        folder: of the run.
        parents: as `write_lineage` took them.
        file: name of the parents' weights.

    Raises:
        RecipeError: a parent was made anew under its name.
    """
    known = json.loads((folder / LINEAGE_FILE).read_text(encoding="utf-8"))["parents"]
    for role, parent in parents.items():
        said = known.get(role, {}).get("model_sha256")
        if isinstance(parent, Path) and said and (parent / file).exists() and sha256(parent / file) != said:
            raise RecipeError(f"{folder} was made of another {parent} than is there now: choose another name")


def write_environment(folder: Path, recipe: Conditions, processes: int) -> None:
    """Notes what the run depends on beside its recipe and data."""
    write_json(
        folder / ENVIRONMENT_FILE,
        {
            "git_commit": _git_commit(),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "packages": {name: _version(name) for name in _PACKAGES},
            "seed": recipe.seed,
            "threads": recipe.threads,
            "processes": processes,
            "device": recipe.device,
        },
    )


def write_lineage(
    folder: Path, step: str, dataset: Mapping[str, str], parents: Mapping[str, Parent], model: Path
) -> None:
    """Says what a model was made of.

    Args:
        folder: of the run.
        step: train, distil, prune or import.
        dataset: its name and version.
        parents: run folders, a served version or a hub's commit, by what they were to this one: `weights`, `teacher`.
        model: the weights' file.
    """
    write_json(
        folder / LINEAGE_FILE,
        {
            "step": step,
            "run": folder.name,
            "dataset": dict(dataset),
            "recipe_sha256": sha256(folder / RECIPE_FILE),
            "model_sha256": sha256(model),
            "parents": {role: _parent(parent, model.name) for role, parent in parents.items()},
        },
    )


def _parent(folder: Parent, weights: str) -> dict[str, Any]:
    if isinstance(folder, Served):
        return {"served": f"{folder.model}:{folder.version}"}
    if isinstance(folder, Downloaded):
        return {"hub": folder.repository, "revision": folder.commit}
    lineage = folder / LINEAGE_FILE
    known = json.loads(lineage.read_text(encoding="utf-8")) if lineage.exists() else None
    return {"run": folder.name, "model_sha256": sha256(folder / weights), "lineage": known}


def sha256(path: Path) -> str:
    """Returns the hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Returns the commit of the code, None where it is no checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 -- fixed words
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
