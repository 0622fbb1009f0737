from triptych.batch.v1 import batch_pb2 as _batch_pb2
from triptych.tensor.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PreprocessImagesRequest(_message.Message):
    __slots__ = ("model", "images")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    model: str
    images: _containers.RepeatedCompositeFieldContainer[EncodedImage]
    def __init__(self, model: _Optional[str] = ..., images: _Optional[_Iterable[_Union[EncodedImage, _Mapping]]] = ...) -> None: ...

class EncodedImage(_message.Message):
    __slots__ = ("content", "time_left_ms")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    TIME_LEFT_MS_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    time_left_ms: float
    def __init__(self, content: _Optional[bytes] = ..., time_left_ms: _Optional[float] = ...) -> None: ...

class PreprocessImagesResponse(_message.Message):
    __slots__ = ("tensor", "outcomes")
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    tensor: _tensor_pb2.Tensor
    outcomes: _containers.RepeatedCompositeFieldContainer[PreprocessOutcome]
    def __init__(self, tensor: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., outcomes: _Optional[_Iterable[_Union[PreprocessOutcome, _Mapping]]] = ...) -> None: ...

class PreprocessOutcome(_message.Message):
    __slots__ = ("image", "error")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    image: PreprocessedImage
    error: _batch_pb2.ItemError
    def __init__(self, image: _Optional[_Union[PreprocessedImage, _Mapping]] = ..., error: _Optional[_Union[_batch_pb2.ItemError, _Mapping]] = ...) -> None: ...

class PreprocessedImage(_message.Message):
    __slots__ = ("width_px", "height_px", "format", "queue_ms", "compute_ms")
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_MS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_MS_FIELD_NUMBER: _ClassVar[int]
    width_px: int
    height_px: int
    format: str
    queue_ms: float
    compute_ms: float
    def __init__(self, width_px: _Optional[int] = ..., height_px: _Optional[int] = ..., format: _Optional[str] = ..., queue_ms: _Optional[float] = ..., compute_ms: _Optional[float] = ...) -> None: ...
