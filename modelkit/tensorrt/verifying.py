"""Looks whether a plan in the engine store is what `build-engine` wrote, of a file that is still published."""

from pathlib import Path

from modelkit.publish import PublishError
from modelkit.release.versions import find_version
from modelkit.tensorrt.manifest import EngineError, EngineManifest
from modelkit.tensorrt.store import EngineStore
from servicekit.manifest import ManifestError


def verify_engine(repository: Path, store: EngineStore, key: str) -> EngineManifest:
    """Returns the manifest of a plan that is the one that was built, of the file of a published version.

    Args:
        repository: the model repository, whose manifests have to be trusted as the plans' have.
        store: holds the plan.
        key: the name of its folder.

    Raises:
        EngineError: it is not so.
    """
    manifest = store.find(key)
    if manifest is None:
        raise EngineError(f"{store.plan(key)} is missing")
    try:
        model, version = find_version(repository, manifest.model, manifest.version, store.check)
    except (ManifestError, PublishError) as error:
        raise EngineError(f"{store.plan(key)} is of no version that counts: {error}") from error
    published = model.versions[version].artifacts["cpu"].sha256
    if published != manifest.onnx_sha256:
        raise EngineError(
            f"{store.plan(key)} is built of another file than {manifest.model} {version}: `onnx_sha256` in its "
            f"manifest begins with {manifest.onnx_sha256[:12]}, the sha256 of the published file with {published[:12]}"
        )
    return manifest
