"""The model repository's contract: what modelkit publishes and the services obey.

A repository is a Triton model repository: `<model>/{config.pbtxt,labels.txt,manifest.json}`, `<model>/<version>/...`.
Nothing about a model is coded anywhere else.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MANIFEST_FILE = "manifest.json"


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
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Version(_Frozen):
    """Is one published version: its files, its calibration and where it came from."""

    artifacts: dict[str, Artifact]
    """Keyed by target: `cpu`, `gpu`."""
    temperature: float = Field(default=1.0, gt=0)
    """Logits are divided by it before the softmax."""
    lineage: dict[str, str] = Field(default_factory=dict)
    accuracy: dict[str, float | int | str] = Field(default_factory=dict)
    """Measured or published figures; `source` says which and by what."""


class Manifest(_Frozen):
    """Is everything Triptych knows about one model."""

    schema_version: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")
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

    @model_validator(mode="after")
    def _default_exists(self) -> Self:
        if self.default_version is not None and self.default_version not in self.versions:
            raise ValueError(f"default_version {self.default_version!r} is none of the versions {list(self.versions)}")
        return self


def read_manifest(model_dir: Path) -> Manifest:
    """Reads one model's manifest.

    Raises:
        ManifestError: the file is missing, is not what the schema asks for, or names another model than its folder.
    """
    path = model_dir / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ManifestError(f"{path} is missing: every model folder needs a manifest") from error
    except ValidationError as error:
        raise ManifestError(f"{path} is not a valid manifest: {error}") from error
    if manifest.name != model_dir.name:
        raise ManifestError(f"{path} names the model {manifest.name!r}, but its folder is {model_dir.name!r}")
    return manifest


def read_labels(model_dir: Path, output: Output) -> tuple[str, ...]:
    """Reads a model's labels, one per class, in class order.

    Raises:
        ManifestError: the file is missing or does not hold exactly one label per class.
    """
    path = model_dir / output.labels
    try:
        labels = tuple(path.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError as error:
        raise ManifestError(f"{path} is missing") from error
    if len(labels) != output.classes or not all(labels):
        raise ManifestError(
            f"{path} holds {len(labels)} lines, some perhaps empty; the model has {output.classes} classes"
        )
    return labels


def read_repository(root: Path) -> dict[str, Manifest]:
    """Reads every manifest below a repository, keyed by model name.

    Raises:
        ManifestError: the folder is missing, holds no model, or one manifest is wrong.
    """
    folders = sorted(path.parent for path in root.glob(f"*/{MANIFEST_FILE}"))
    if not folders:
        raise ManifestError(f"{root} holds no model: no folder with a {MANIFEST_FILE}")
    return {folder.name: read_manifest(folder) for folder in folders}
