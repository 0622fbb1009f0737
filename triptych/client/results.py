"""What the client returns: plain, immutable values."""

from dataclasses import dataclass
from typing import Self

from triptych.classification.v1 import classification_pb2, classification_service_pb2, model_pb2
from triptych.client.errors import ClassifyError


@dataclass(frozen=True, slots=True)
class Prediction:
    """Is one class with its score."""

    index: int
    """Index of the class in the model's labels, from 0."""
    label: str
    score: float
    """Calibrated probability, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Tells where the time went, in milliseconds; the contract explains each."""

    total_ms: float = 0.0
    preprocess_ms: float = 0.0
    decode_ms: float = 0.0
    inference_ms: float = 0.0
    queue_ms: float = 0.0
    compute_ms: float = 0.0
    postprocess_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Classification:
    """Says what one image shows."""

    predictions: tuple[Prediction, ...]
    """Descending by score."""
    model: str
    version: str
    prediction_id: str
    """Unique id of this answer, for feedback and support."""
    timing: Timing
    experiment: str = ""
    arm: str = ""
    cached: bool = False
    """Whether this is the answer that the same image got before."""

    @property
    def best(self) -> Prediction:
        """Returns the prediction with the highest score.

        Raises:
            LookupError: `min_score` left none.
        """
        if not self.predictions:
            raise LookupError("no prediction reached min_score")
        return self.predictions[0]

    @classmethod
    def from_proto(cls, message: classification_pb2.Classification) -> Self:
        """Reads the message."""
        timing = message.timing
        return cls(
            predictions=tuple(Prediction(item.index, item.label, item.score) for item in message.predictions),
            model=message.model,
            version=message.version,
            prediction_id=message.prediction_id,
            timing=Timing(**{name: getattr(timing, name) for name in Timing.__dataclass_fields__}),
            experiment=message.experiment,
            arm=message.arm,
            cached=message.cached,
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """Answers one frame of a video: either `classification` or `error` is set."""

    number: int
    """Counts the frames as they were sent, from 0."""
    classification: Classification | None
    error: ClassifyError | None
    dropped_count: int
    """Frames dropped for newer ones since the answer before this."""

    @classmethod
    def from_proto(cls, message: classification_service_pb2.ClassifyStreamResponse) -> Self:
        """Reads the message."""
        if message.WhichOneof("result") == "error":
            return cls(message.frame, None, ClassifyError.from_frame(message.error), message.dropped_count)
        return cls(message.frame, Classification.from_proto(message.classification), None, message.dropped_count)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """Describes one version of a model."""

    version: str
    ready: bool
    detail: str
    """Why it is not ready; empty when it is."""
    backend: str
    """What runs it, such as `openvino` or `tensorrt`."""


@dataclass(frozen=True, slots=True)
class Model:
    """Describes a model that can be named in a request."""

    name: str
    title: str
    versions: tuple[ModelVersion, ...]
    input_width_px: int
    input_height_px: int
    class_count: int
    default: bool
    """Whether it answers requests that name no model."""

    @property
    def ready(self) -> bool:
        """Says whether at least one version takes requests."""
        return any(version.ready for version in self.versions)

    @classmethod
    def from_proto(cls, message: model_pb2.Model) -> Self:
        """Reads the message."""
        return cls(
            name=message.name,
            title=message.title,
            versions=tuple(_version(item) for item in message.versions),
            input_width_px=message.input_width_px,
            input_height_px=message.input_height_px,
            class_count=message.class_count,
            default=message.default,
        )


def _version(message: model_pb2.ModelVersion) -> ModelVersion:
    ready = message.state == model_pb2.MODEL_STATE_READY
    return ModelVersion(message.version, ready, message.detail, message.backend)
