import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExperimentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXPERIMENT_STATE_UNSPECIFIED: _ClassVar[ExperimentState]
    EXPERIMENT_STATE_DRAFT: _ClassVar[ExperimentState]
    EXPERIMENT_STATE_RUNNING: _ClassVar[ExperimentState]
    EXPERIMENT_STATE_RAMPING: _ClassVar[ExperimentState]
    EXPERIMENT_STATE_STOPPED: _ClassVar[ExperimentState]
    EXPERIMENT_STATE_CONCLUDED: _ClassVar[ExperimentState]
EXPERIMENT_STATE_UNSPECIFIED: ExperimentState
EXPERIMENT_STATE_DRAFT: ExperimentState
EXPERIMENT_STATE_RUNNING: ExperimentState
EXPERIMENT_STATE_RAMPING: ExperimentState
EXPERIMENT_STATE_STOPPED: ExperimentState
EXPERIMENT_STATE_CONCLUDED: ExperimentState

class Experiment(_message.Message):
    __slots__ = ("name", "model", "description", "arms", "shadows", "audience", "layer", "slot_begin", "slot_end", "rules", "ramp", "state", "detail", "epoch", "salt", "create_time", "start_time", "epoch_time", "end_time", "step")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ARMS_FIELD_NUMBER: _ClassVar[int]
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    SLOT_BEGIN_FIELD_NUMBER: _ClassVar[int]
    SLOT_END_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    RAMP_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    description: str
    arms: _containers.RepeatedCompositeFieldContainer[Arm]
    shadows: _containers.RepeatedCompositeFieldContainer[Shadow]
    audience: Audience
    layer: str
    slot_begin: float
    slot_end: float
    rules: Rules
    ramp: Ramp
    state: ExperimentState
    detail: str
    epoch: int
    salt: str
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    epoch_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    step: int
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., description: _Optional[str] = ..., arms: _Optional[_Iterable[_Union[Arm, _Mapping]]] = ..., shadows: _Optional[_Iterable[_Union[Shadow, _Mapping]]] = ..., audience: _Optional[_Union[Audience, _Mapping]] = ..., layer: _Optional[str] = ..., slot_begin: _Optional[float] = ..., slot_end: _Optional[float] = ..., rules: _Optional[_Union[Rules, _Mapping]] = ..., ramp: _Optional[_Union[Ramp, _Mapping]] = ..., state: _Optional[_Union[ExperimentState, str]] = ..., detail: _Optional[str] = ..., epoch: _Optional[int] = ..., salt: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., epoch_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., step: _Optional[int] = ...) -> None: ...

class Arm(_message.Message):
    __slots__ = ("name", "version", "weight")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    weight: float
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class Shadow(_message.Message):
    __slots__ = ("name", "version", "share")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    share: float
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., share: _Optional[float] = ...) -> None: ...

class Audience(_message.Message):
    __slots__ = ("tenants", "headers")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    tenants: _containers.RepeatedScalarFieldContainer[str]
    headers: _containers.ScalarMap[str, str]
    def __init__(self, tenants: _Optional[_Iterable[str]] = ..., headers: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Rules(_message.Message):
    __slots__ = ("alpha", "accuracy_margin", "slow_margin", "failed_margin", "slow_ms", "promote_no_worse", "auto_promote", "no_rollback", "stop_after_s")
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_MARGIN_FIELD_NUMBER: _ClassVar[int]
    SLOW_MARGIN_FIELD_NUMBER: _ClassVar[int]
    FAILED_MARGIN_FIELD_NUMBER: _ClassVar[int]
    SLOW_MS_FIELD_NUMBER: _ClassVar[int]
    PROMOTE_NO_WORSE_FIELD_NUMBER: _ClassVar[int]
    AUTO_PROMOTE_FIELD_NUMBER: _ClassVar[int]
    NO_ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    STOP_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    alpha: float
    accuracy_margin: float
    slow_margin: float
    failed_margin: float
    slow_ms: float
    promote_no_worse: bool
    auto_promote: bool
    no_rollback: bool
    stop_after_s: float
    def __init__(self, alpha: _Optional[float] = ..., accuracy_margin: _Optional[float] = ..., slow_margin: _Optional[float] = ..., failed_margin: _Optional[float] = ..., slow_ms: _Optional[float] = ..., promote_no_worse: bool = ..., auto_promote: bool = ..., no_rollback: bool = ..., stop_after_s: _Optional[float] = ...) -> None: ...

class Ramp(_message.Message):
    __slots__ = ("steps", "hold_s", "min_keys")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    HOLD_S_FIELD_NUMBER: _ClassVar[int]
    MIN_KEYS_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedScalarFieldContainer[float]
    hold_s: float
    min_keys: int
    def __init__(self, steps: _Optional[_Iterable[float]] = ..., hold_s: _Optional[float] = ..., min_keys: _Optional[int] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("candidate", "advice", "sentence", "findings", "time", "epoch", "control_keys", "candidate_keys")
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CONTROL_KEYS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_KEYS_FIELD_NUMBER: _ClassVar[int]
    candidate: str
    advice: str
    sentence: str
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    time: _timestamp_pb2.Timestamp
    epoch: int
    control_keys: int
    candidate_keys: int
    def __init__(self, candidate: _Optional[str] = ..., advice: _Optional[str] = ..., sentence: _Optional[str] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., epoch: _Optional[int] = ..., control_keys: _Optional[int] = ..., candidate_keys: _Optional[int] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("metric", "estimate", "low", "high", "events", "word")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    WORD_FIELD_NUMBER: _ClassVar[int]
    metric: str
    estimate: float
    low: float
    high: float
    events: int
    word: str
    def __init__(self, metric: _Optional[str] = ..., estimate: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., events: _Optional[int] = ..., word: _Optional[str] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("id", "time", "experiment", "action", "actor", "reason", "facts_json")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FACTS_JSON_FIELD_NUMBER: _ClassVar[int]
    id: int
    time: _timestamp_pb2.Timestamp
    experiment: str
    action: str
    actor: str
    reason: str
    facts_json: str
    def __init__(self, id: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., experiment: _Optional[str] = ..., action: _Optional[str] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., facts_json: _Optional[str] = ...) -> None: ...
