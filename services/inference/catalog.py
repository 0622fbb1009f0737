"""Which versions can answer now: the manifests' promises held against what Triton says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from servicekit.errors import InvalidArgument, Reason, Unavailable, unknown_model, unknown_version
from servicekit.manifest import Manifest

READY = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Is what a Triton server says of one version of a model."""

    backend: str
    max_batch_size: int
    instances: int
    """Batches that are computed at the same time."""
    problem: str = READY
    """Why it cannot answer; empty when it can."""


LoadedVersions = Mapping[tuple[str, str], Loaded]
"""Keyed by model and version."""

_NOT_LOADED = Loaded("", 0, 0, "No model server has loaded it.")


def merge(replicas: Iterable[LoadedVersions]) -> dict[tuple[str, str], Loaded]:
    """Joins what several servers say: a version is ready when one has it ready, with the instances of all."""
    merged: dict[tuple[str, str], Loaded] = {}
    for replica in replicas:
        for key, loaded in replica.items():
            known = merged.get(key)
            if known is None or known.problem:
                merged[key] = loaded
            elif not loaded.problem:
                merged[key] = replace(known, instances=known.instances + loaded.instances)
    return merged


def ascending(versions: Iterable[str]) -> list[str]:
    """Sorts versions by number."""
    return sorted(versions, key=int)


def find_model(manifests: Mapping[str, Manifest], model: str) -> Manifest:
    """Returns a model's manifest.

    Raises:
        InvalidArgument: no name was given.
        NotFound: the repository has no such model.
    """
    if not model:
        raise InvalidArgument("A model name is required.", reason=Reason.FIELD_MISSING, field="model")
    if model not in manifests:
        raise unknown_model(model)
    return manifests[model]


def choose_version(manifest: Manifest, version: str, loaded: LoadedVersions) -> tuple[str, Loaded]:
    """Returns the version to run: the one asked for, or the newest ready one that is no newer than the default.

    So a default that cannot run gives way to what it replaced, and never to a version that nobody has made the default.

    Raises:
        NotFound: the model has no such version.
        Unavailable: the version, or every version up to the default, is not ready.
    """
    if version and version not in manifest.versions:
        raise unknown_version(manifest.name, version, ascending(manifest.versions))
    for candidate in [version] if version else _unasked(manifest):
        found = loaded.get((manifest.name, candidate), _NOT_LOADED)
        if not found.problem:
            return candidate, found
    what = f"Version {version} of the model" if version else "The model"
    raise Unavailable(f"{what} {manifest.name!r} is not ready.", reason=Reason.MODEL_NOT_READY, retry_after_s=1.0)


def preferred(manifest: Manifest) -> str:
    """Returns the version that answers who names none, as long as it can."""
    return _unasked(manifest)[0]


def _unasked(manifest: Manifest) -> list[str]:
    """Lists the versions that may answer who names none, the best first."""
    newest_first = ascending(manifest.versions)[::-1]
    return newest_first[newest_first.index(manifest.default_version or newest_first[0]) :]


def state_of(manifest: Manifest, version: str, loaded: LoadedVersions) -> Loaded:
    """Returns what is known of a published version."""
    return loaded.get((manifest.name, version), _NOT_LOADED)
