"""The manifest of a plan: all that the plan depends on, which names it, and who vouches for it."""

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from modelkit.tensorrt.api import Runtime
from servicekit.manifest import Check, ManifestError, Sha256, Signature

MANIFEST_FILE = "manifest.json"


class EngineError(ValueError):
    """Says why a plan that is there does not count."""


class Source(BaseModel):
    """Is all that a plan depends on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    onnx_sha256: Sha256
    runtime: Runtime
    tensorrt: str
    """Version of the runtime, which alone can load the plan."""
    gpu: str
    """Product; empty for a plan of TensorRT-RTX, which fits a compute capability."""
    compute_capability: str
    max_batch_size: int = Field(ge=1)
    opt_batch_size: int = Field(ge=1)
    """For which it is tuned."""
    flags: str
    """What else the builder was told, in the words of trtexec."""


class EngineManifest(Source):
    """Is what lies beside a plan."""

    schema_version: Literal[1] = 1
    key: str
    """Name of the plan's folder."""
    model: str
    version: str
    plan_sha256: Sha256
    """A plan is code that runs with the server's rights: whoever loads it looks at this first."""
    driver: str
    """Of the machine that built it; empty without one."""
    build_seconds: float
    signature: Signature | None = None

    @property
    def source(self) -> Source:
        """Returns what it says that the plan depends on."""
        return Source(**self.model_dump(include=set(Source.model_fields)))


def key_of(source: Source) -> str:
    """Names the folder of a plan: a hash of all that it depends on, and its largest batch."""
    content = json.dumps(source.model_dump(mode="json"), sort_keys=True)
    return f"{hashlib.sha256(content.encode()).hexdigest()[:32]}-b{source.max_batch_size}"


def read_engine_manifest(folder: Path, check: Check | None = None) -> EngineManifest:
    """Reads the manifest of a plan.

    Args:
        folder: the plan's.
        check: says whether to trust it; without one everything is trusted.

    Raises:
        EngineError: it is missing or wrong, not to be trusted, or of another plan than its folder is named for.
    """
    path = folder / MANIFEST_FILE
    try:
        # Parsed once: what is checked is what is used, whatever tricks the text plays.
        document = from_json(path.read_bytes(), allow_inf_nan=False)
        manifest = EngineManifest.model_validate(document)
        if check is not None:
            check(path, document, manifest.signature)
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        problems = "; ".join(f"`{'.'.join(map(str, each['loc']))}`: {each['msg']}" for each in error.errors())
        raise EngineError(f"{path} is not a valid manifest: {problems}") from error
    except ManifestError as error:
        raise EngineError(str(error)) from error
    except ValueError as error:  # of the JSON
        raise EngineError(f"{path} is not a valid manifest: {error}") from error
    _check_key(path, manifest)
    return manifest


def _check_key(path: Path, manifest: EngineManifest) -> None:
    depends = key_of(manifest.source)
    if manifest.key != depends:
        raise EngineError(f"`key` in {path} is {manifest.key}, but what the plan depends on has the key {depends}")
    if path.parent.name != depends:
        raise EngineError(f"{path} is of another plan: its `key` is {depends}")
