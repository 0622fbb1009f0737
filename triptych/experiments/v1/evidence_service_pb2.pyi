import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from triptych.experiments.v1 import experiment_pb2 as _experiment_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetRoutingRequest(_message.Message):
    __slots__ = ("known_revision",)
    KNOWN_REVISION_FIELD_NUMBER: _ClassVar[int]
    known_revision: int
    def __init__(self, known_revision: _Optional[int] = ...) -> None: ...

class GetRoutingResponse(_message.Message):
    __slots__ = ("revision", "experiments", "holdout_share", "holdout_salt", "pins")
    class PinsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENTS_FIELD_NUMBER: _ClassVar[int]
    HOLDOUT_SHARE_FIELD_NUMBER: _ClassVar[int]
    HOLDOUT_SALT_FIELD_NUMBER: _ClassVar[int]
    PINS_FIELD_NUMBER: _ClassVar[int]
    revision: int
    experiments: _containers.RepeatedCompositeFieldContainer[_experiment_pb2.Experiment]
    holdout_share: float
    holdout_salt: str
    pins: _containers.ScalarMap[str, str]
    def __init__(self, revision: _Optional[int] = ..., experiments: _Optional[_Iterable[_Union[_experiment_pb2.Experiment, _Mapping]]] = ..., holdout_share: _Optional[float] = ..., holdout_salt: _Optional[str] = ..., pins: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RecordEvidenceRequest(_message.Message):
    __slots__ = ("exposures", "predictions", "shadows")
    EXPOSURES_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    exposures: _containers.RepeatedCompositeFieldContainer[Exposure]
    predictions: _containers.RepeatedCompositeFieldContainer[PredictionRecord]
    shadows: _containers.RepeatedCompositeFieldContainer[ShadowRecord]
    def __init__(self, exposures: _Optional[_Iterable[_Union[Exposure, _Mapping]]] = ..., predictions: _Optional[_Iterable[_Union[PredictionRecord, _Mapping]]] = ..., shadows: _Optional[_Iterable[_Union[ShadowRecord, _Mapping]]] = ...) -> None: ...

class RecordEvidenceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Exposure(_message.Message):
    __slots__ = ("experiment", "epoch", "arm", "key_hash", "failed", "slow", "void")
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ARM_FIELD_NUMBER: _ClassVar[int]
    KEY_HASH_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    SLOW_FIELD_NUMBER: _ClassVar[int]
    VOID_FIELD_NUMBER: _ClassVar[int]
    experiment: str
    epoch: int
    arm: str
    key_hash: bytes
    failed: bool
    slow: bool
    void: bool
    def __init__(self, experiment: _Optional[str] = ..., epoch: _Optional[int] = ..., arm: _Optional[str] = ..., key_hash: _Optional[bytes] = ..., failed: bool = ..., slow: bool = ..., void: bool = ...) -> None: ...

class PredictionRecord(_message.Message):
    __slots__ = ("prediction_id", "request_id", "tenant", "time", "model", "version", "top", "experiment", "epoch", "arm", "key_hash", "fallback", "inclusion_probability", "image_digest", "image_bytes", "image", "total_ms", "cached")
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ARM_FIELD_NUMBER: _ClassVar[int]
    KEY_HASH_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    INCLUSION_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    IMAGE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MS_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    request_id: str
    tenant: str
    time: _timestamp_pb2.Timestamp
    model: str
    version: str
    top: _containers.RepeatedCompositeFieldContainer[RankedClass]
    experiment: str
    epoch: int
    arm: str
    key_hash: bytes
    fallback: bool
    inclusion_probability: float
    image_digest: bytes
    image_bytes: int
    image: bytes
    total_ms: float
    cached: bool
    def __init__(self, prediction_id: _Optional[str] = ..., request_id: _Optional[str] = ..., tenant: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., model: _Optional[str] = ..., version: _Optional[str] = ..., top: _Optional[_Iterable[_Union[RankedClass, _Mapping]]] = ..., experiment: _Optional[str] = ..., epoch: _Optional[int] = ..., arm: _Optional[str] = ..., key_hash: _Optional[bytes] = ..., fallback: bool = ..., inclusion_probability: _Optional[float] = ..., image_digest: _Optional[bytes] = ..., image_bytes: _Optional[int] = ..., image: _Optional[bytes] = ..., total_ms: _Optional[float] = ..., cached: bool = ...) -> None: ...

class RankedClass(_message.Message):
    __slots__ = ("index", "label", "score")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    index: int
    label: str
    score: float
    def __init__(self, index: _Optional[int] = ..., label: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

class ShadowRecord(_message.Message):
    __slots__ = ("prediction_id", "experiment", "epoch", "shadow", "version", "first", "served", "total_ms")
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MS_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    experiment: str
    epoch: int
    shadow: str
    version: str
    first: RankedClass
    served: RankedClass
    total_ms: float
    def __init__(self, prediction_id: _Optional[str] = ..., experiment: _Optional[str] = ..., epoch: _Optional[int] = ..., shadow: _Optional[str] = ..., version: _Optional[str] = ..., first: _Optional[_Union[RankedClass, _Mapping]] = ..., served: _Optional[_Union[RankedClass, _Mapping]] = ..., total_ms: _Optional[float] = ...) -> None: ...
