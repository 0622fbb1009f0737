import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FeedbackSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEEDBACK_SOURCE_UNSPECIFIED: _ClassVar[FeedbackSource]
    FEEDBACK_SOURCE_USER: _ClassVar[FeedbackSource]
    FEEDBACK_SOURCE_ANNOTATOR: _ClassVar[FeedbackSource]
    FEEDBACK_SOURCE_SYSTEM: _ClassVar[FeedbackSource]
FEEDBACK_SOURCE_UNSPECIFIED: FeedbackSource
FEEDBACK_SOURCE_USER: FeedbackSource
FEEDBACK_SOURCE_ANNOTATOR: FeedbackSource
FEEDBACK_SOURCE_SYSTEM: FeedbackSource

class Feedback(_message.Message):
    __slots__ = ("prediction_id", "label_index", "label", "source", "feedback_id", "time")
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_INDEX_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    label_index: int
    label: str
    source: FeedbackSource
    feedback_id: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, prediction_id: _Optional[str] = ..., label_index: _Optional[int] = ..., label: _Optional[str] = ..., source: _Optional[_Union[FeedbackSource, str]] = ..., feedback_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SubmitFeedbackRequest(_message.Message):
    __slots__ = ("feedback",)
    FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    feedback: _containers.RepeatedCompositeFieldContainer[Feedback]
    def __init__(self, feedback: _Optional[_Iterable[_Union[Feedback, _Mapping]]] = ...) -> None: ...

class SubmitFeedbackResponse(_message.Message):
    __slots__ = ("accepted_count", "unknown_label_count", "unknown_labels")
    ACCEPTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_LABEL_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_LABELS_FIELD_NUMBER: _ClassVar[int]
    accepted_count: int
    unknown_label_count: int
    unknown_labels: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, accepted_count: _Optional[int] = ..., unknown_label_count: _Optional[int] = ..., unknown_labels: _Optional[_Iterable[str]] = ...) -> None: ...

class ExportFeedbackRequest(_message.Message):
    __slots__ = ("model", "since", "unlabelled", "images")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNLABELLED_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    model: str
    since: _timestamp_pb2.Timestamp
    unlabelled: bool
    images: bool
    def __init__(self, model: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unlabelled: bool = ..., images: bool = ...) -> None: ...

class ExportFeedbackResponse(_message.Message):
    __slots__ = ("prediction_id", "time", "model", "version", "predicted", "predicted_index", "score", "label", "label_index", "source", "inclusion_probability", "image", "experiment", "arm", "label_time")
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_INDEX_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    LABEL_INDEX_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    INCLUSION_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    ARM_FIELD_NUMBER: _ClassVar[int]
    LABEL_TIME_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    time: _timestamp_pb2.Timestamp
    model: str
    version: str
    predicted: str
    predicted_index: int
    score: float
    label: str
    label_index: int
    source: FeedbackSource
    inclusion_probability: float
    image: bytes
    experiment: str
    arm: str
    label_time: _timestamp_pb2.Timestamp
    def __init__(self, prediction_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., model: _Optional[str] = ..., version: _Optional[str] = ..., predicted: _Optional[str] = ..., predicted_index: _Optional[int] = ..., score: _Optional[float] = ..., label: _Optional[str] = ..., label_index: _Optional[int] = ..., source: _Optional[_Union[FeedbackSource, str]] = ..., inclusion_probability: _Optional[float] = ..., image: _Optional[bytes] = ..., experiment: _Optional[str] = ..., arm: _Optional[str] = ..., label_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DeletePredictionsRequest(_message.Message):
    __slots__ = ("prediction_ids", "actor", "reason")
    PREDICTION_IDS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    prediction_ids: _containers.RepeatedScalarFieldContainer[str]
    actor: str
    reason: str
    def __init__(self, prediction_ids: _Optional[_Iterable[str]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DeletePredictionsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
