from triptych.batch.v1 import batch_pb2 as _batch_pb2
from triptych.tensor.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RankLabelsRequest(_message.Message):
    __slots__ = ("model", "version", "logits", "options")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LOGITS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    logits: _tensor_pb2.Tensor
    options: _containers.RepeatedCompositeFieldContainer[RankOptions]
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., logits: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., options: _Optional[_Iterable[_Union[RankOptions, _Mapping]]] = ...) -> None: ...

class RankOptions(_message.Message):
    __slots__ = ("top_k", "min_score")
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    top_k: int
    min_score: float
    def __init__(self, top_k: _Optional[int] = ..., min_score: _Optional[float] = ...) -> None: ...

class RankLabelsResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[RankOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[RankOutcome, _Mapping]]] = ...) -> None: ...

class RankOutcome(_message.Message):
    __slots__ = ("ranking", "error")
    RANKING_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ranking: Ranking
    error: _batch_pb2.ItemError
    def __init__(self, ranking: _Optional[_Union[Ranking, _Mapping]] = ..., error: _Optional[_Union[_batch_pb2.ItemError, _Mapping]] = ...) -> None: ...

class Ranking(_message.Message):
    __slots__ = ("predictions",)
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    predictions: _containers.RepeatedCompositeFieldContainer[Prediction]
    def __init__(self, predictions: _Optional[_Iterable[_Union[Prediction, _Mapping]]] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("index", "label", "score")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    index: int
    label: str
    score: float
    def __init__(self, index: _Optional[int] = ..., label: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...
