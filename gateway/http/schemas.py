"""The shapes of requests and answers over HTTP, for /docs alone; tests hold them against what is read and sent."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

BASE64 = "Standard base64 of an encoded image (JPEG, PNG, WebP, GIF or BMP)."


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ImageBody(_Request):
    """Is one image of several."""

    image_base64: str = Field(description=BASE64)


class ClassifyBody(_Request):
    """Asks for the labels of one image (`image_base64`) or of several (`images`)."""

    image_base64: str | None = Field(default=None, description=BASE64)
    images: list[ImageBody] | None = Field(default=None, description="Several images, instead of `image_base64`.")
    model: str | None = Field(default=None, description="Name of the model. Absent: the default model.")
    version: str | None = Field(default=None, description="Version of the model. Absent: the default one.")
    top_k: int | None = Field(default=None, ge=1, le=1000, description="Most predictions per image. Absent: 5.")
    min_score: float | None = Field(default=None, ge=0, le=1, description="Least score of a prediction. Absent: 0.")


class Prediction(BaseModel):
    """Is one class with its score."""

    index: int = Field(description="Index of the class in the model's labels, from 0.")
    label: str
    score: float = Field(description="Calibrated probability, 0 to 1.")


class Timing(BaseModel):
    """Tells where the time of one image went, in milliseconds."""

    total_ms: float
    preprocess_ms: float
    decode_ms: float
    inference_ms: float
    queue_ms: float = Field(description="A mean of the last moments, from Triton's statistics.")
    compute_ms: float = Field(description="A mean of the last moments, from Triton's statistics.")
    postprocess_ms: float


class Classification(BaseModel):
    """Says what one image shows, and how the answer came about."""

    predictions: list[Prediction] = Field(description="Descending by score.")
    model: str
    version: str
    prediction_id: str = Field(description="Unique id of this answer (UUIDv7).")
    timing: Timing
    experiment: str = Field(description="Empty: no experiment chose the version.")
    arm: str = Field(description="Empty: as above.")
    cached: bool = Field(description="Whether this is the answer that the same image got before.")


class ModelVersion(BaseModel):
    """Describes one version of a model."""

    version: str
    state: Literal["MODEL_STATE_READY", "MODEL_STATE_UNAVAILABLE"]
    detail: str = Field(description="Why it is not ready. Empty when it is.")
    backend: str = Field(description="What runs it. Empty while it is not loaded.")


class Model(BaseModel):
    """Describes a model that can be named in a request."""

    name: str
    title: str
    versions: list[ModelVersion]
    input_width_px: int
    input_height_px: int
    class_count: int
    default: bool


class Models(BaseModel):
    """Lists the models."""

    models: list[Model]


class Alive(BaseModel):
    """Says that the process lives."""

    status: Literal["alive"]


class Dependency(BaseModel):
    """Says whether one condition of readiness holds."""

    ready: bool
    detail: str | None = Field(description="Why it does not hold.")


class Ready(BaseModel):
    """Says whether requests will be answered, and by what."""

    ready: bool
    dependencies: dict[str, Dependency]
    models: list[Model]


class Fault(BaseModel):
    """Says what went wrong."""

    code: int = Field(description="The HTTP status.")
    status: str = Field(description="Name of the google.rpc.Code.")
    reason: str = Field(description="Machine-readable; docs/api.md lists all.")
    message: str
    request_id: str
    details: list[dict[str, Any]] = Field(description="google.rpc.ErrorInfo, BadRequest and RetryInfo.")


class Error(BaseModel):
    """Is the body of every failure."""

    error: Fault
