"""The model repository's contract: what modelkit publishes and the services obey.

A repository is a Triton model repository: `<model>/{config.pbtxt,labels.txt,manifest.json}`, `<model>/<version>/...`.
Nothing about a model is coded anywhere else.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import from_json

MANIFEST_FILE = "manifest.json"
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ManifestError(ValueError):
    """Says which file of the model repository is wrong, and how."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Recipe(_Frozen):
    """Says how encoded bytes become the model's input: the one definition that training and serving share."""

    tensor: str = "image"
    """Name of the model's input: uint8, NHWC."""
    width: int = Field(ge=1, le=4096)
    """Pixels."""
    height: int = Field(ge=1, le=4096)
    """Pixels."""
    crop: float = Field(gt=0, le=1)
    """Share of the largest centred box of the target's aspect ratio that is kept, per side; 1 keeps the whole box."""
    interpolation: Literal["bicubic", "bilinear", "lanczos"] = "bicubic"
    color: Literal["RGB"] = "RGB"


class Output(_Frozen):
    """Says what the model answers."""

    tensor: str = "logits"
    """Name of the model's output: fp32, `[n, classes]`."""
    classes: int = Field(ge=2)
    labels: str = "labels.txt"
    """File with one label a line; line i names class i."""


class Artifact(_Frozen):
    """Is one file that one kind of device runs."""

    file: str
    """Path inside the model's folder."""
    format: Literal["onnx", "tensorrt_plan"]
    precision: Literal["fp32", "fp16", "bf16", "int8"]
    sha256: Sha256


class Version(_Frozen):
    """Is one published version: its files, its calibration and where it came from."""

    artifacts: dict[str, Artifact]
    """Keyed by target: `cpu`, `gpu`."""
    temperature: float = Field(default=1.0, gt=0)
    """Logits are divided by it before the softmax."""
    lineage: dict[str, str] = Field(default_factory=dict)
    accuracy: dict[str, float | int | str] = Field(default_factory=dict)
    """Measured or published figures; `source` says which and by what."""


class Signature(_Frozen):
    """Says who vouches for all else that the manifest holds (`servicekit/signatures.py`)."""

    key_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    value: str = Field(pattern=r"^[0-9a-f]{128}$")
    """Ed25519, in hexadecimal digits."""


MODEL_NAME = r"^[a-z0-9][a-z0-9_.-]{0,62}$"
"""What a model may be called: its folder has the same name."""


class Manifest(_Frozen):
    """Is everything Triptych knows about one model."""

    schema_version: Literal[1]
    name: str = Field(pattern=MODEL_NAME)
    title: str
    description: str
    license: str
    source: dict[str, str]
    input: Recipe
    output: Output
    versions: dict[str, Version] = Field(min_length=1)
    """Keyed by version: a positive integer, as Triton wants it."""
    default_version: str | None = None
    """Answers requests that name no version; a higher one answers only when it is named. None: the highest version."""
    files: dict[str, Sha256] = Field(default_factory=dict)
    """What lies beside the models, by path inside the model's folder: labels, `config.pbtxt`, golden predictions."""
    signature: Signature | None = None

    @model_validator(mode="after")
    def _default_exists(self) -> Self:
        if self.default_version is not None and self.default_version not in self.versions:
            raise ValueError(f"default_version {self.default_version!r} is none of the versions {list(self.versions)}")
        return self


Check = Callable[[Path, dict[str, Any], Signature | None], None]
"""Raises ManifestError where nobody vouches for a manifest, given its path, its content as JSON, and its signature."""


def read_manifest(model_dir: Path, check: Check | None = None) -> Manifest:
    """Reads one model's manifest.

    Args:
        model_dir: the model's folder.
        check: says whether to trust it; without one everything is trusted.

    Raises:
        ManifestError: the file is missing, is not what the schema asks for, names another model than its folder, or is
            not to be trusted.
    """
    path = model_dir / MANIFEST_FILE
    try:
        # Parsed once: what is checked is what is used, whatever tricks the text plays.
        document = from_json(path.read_bytes(), allow_inf_nan=False)
        manifest = Manifest.model_validate(document)
    except FileNotFoundError as error:
        raise ManifestError(f"{path} is missing: every model folder needs a manifest") from error
    except ValueError as error:  # of the JSON, or of the schema
        raise ManifestError(f"{path} is not a valid manifest: {error}") from error
    if manifest.name != model_dir.name:
        raise ManifestError(f"{path} names the model {manifest.name!r}, but its folder is {model_dir.name!r}")
    if check is not None:
        check(path, document, manifest.signature)
    return manifest


def read_labels(model_dir: Path, manifest: Manifest) -> tuple[str, ...]:
    """Reads a model's labels, one per class, in class order.

    Raises:
        ManifestError: the file is missing, is not the one that was published, or does not hold exactly one label per
            class.
    """
    output = manifest.output
    path = model_dir / output.labels
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ManifestError(f"{path} is missing") from error
    found = hashlib.sha256(data).hexdigest()
    if manifest.files.get(output.labels, found) != found:
        raise ManifestError(f"{path} is not the file that was published: its sha256 is not the one in `files`")
    labels = tuple(data.decode().splitlines())
    if len(labels) != output.classes or not all(labels):
        raise ManifestError(
            f"{path} holds {len(labels)} lines, some perhaps empty; the model has {output.classes} classes"
        )
    return labels


def read_repository(root: Path, check: Check | None = None) -> dict[str, Manifest]:
    """Reads every manifest below a repository, keyed by model name.

    Args:
        root: the repository.
        check: says which manifests to trust; without one all are.

    Raises:
        ManifestError: the folder is missing, holds no model, or one manifest is wrong or not to be trusted.
    """
    folders = sorted(path.parent for path in root.glob(f"*/{MANIFEST_FILE}"))
    if not folders:
        raise ManifestError(f"{root} holds no model: no folder with a {MANIFEST_FILE}")
    return {folder.name: read_manifest(folder, check) for folder in folders}
