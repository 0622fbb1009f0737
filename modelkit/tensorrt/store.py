"""The engine store: plans, each in a folder that is named by all that it depends on, as the chart's Jobs write it."""

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelkit.shelf import exclusive, place_folder
from modelkit.tensorrt.api import Runtime

PLAN_FILE = "model.plan"
MANIFEST_FILE = "manifest.json"
_SHA256 = r"^[0-9a-f]{64}$"


class Source(BaseModel):
    """Is all that a plan depends on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    onnx_sha256: str = Field(pattern=_SHA256)
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
    plan_sha256: str = Field(pattern=_SHA256)
    """A plan is code that runs with the server's rights: whoever loads it looks at this first."""
    driver: str
    """Of the machine that built it; empty without one."""
    build_seconds: float


def key_of(source: Source) -> str:
    """Names the folder of a plan: a hash of all that it depends on, and its largest batch."""
    content = json.dumps(source.model_dump(mode="json"), sort_keys=True)
    return f"{hashlib.sha256(content.encode()).hexdigest()[:32]}-b{source.max_batch_size}"


def find_engine(engines: Path, key: str) -> EngineManifest | None:
    """Returns the manifest of a plan that is there and whole; None where it has to be built."""
    folder = engines / key
    try:
        manifest = EngineManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
        plan = (folder / PLAN_FILE).read_bytes()
    except (OSError, ValidationError):
        return None
    return manifest if manifest.plan_sha256 == hashlib.sha256(plan).hexdigest() else None


def keep_engine(engines: Path, manifest: EngineManifest, plan: bytes) -> Path:
    """Puts a plan and its manifest into the store, whole or not at all, and returns the plan's path."""
    engines.mkdir(parents=True, exist_ok=True)
    files = {PLAN_FILE: plan, MANIFEST_FILE: f"{manifest.model_dump_json(indent=2)}\n".encode()}
    with exclusive(engines):
        place_folder(engines / manifest.key, files)
    return engines / manifest.key / PLAN_FILE
