"""numpy arrays to and from whole tensor messages, as a client in any language would make them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.tensor.v1 import tensor_pb2

_DTYPE: dict[int, np.dtype[Any]] = {
    tensor_pb2.DATA_TYPE_UINT8: np.dtype("u1"),
    tensor_pb2.DATA_TYPE_INT8: np.dtype("i1"),
    tensor_pb2.DATA_TYPE_FP16: np.dtype("<f2"),
    tensor_pb2.DATA_TYPE_FP32: np.dtype("<f4"),
    tensor_pb2.DATA_TYPE_INT64: np.dtype("<i8"),
}
_DATA_TYPE: dict[np.dtype[Any], Any] = {dtype: data_type for data_type, dtype in _DTYPE.items()}


def encode(array: npt.NDArray[np.generic]) -> tensor_pb2.Tensor:
    """Packs an array."""
    return tensor_pb2.Tensor(data_type=_DATA_TYPE[array.dtype], shape=array.shape, data=array.tobytes())


def decode(tensor: tensor_pb2.Tensor) -> npt.NDArray[np.generic]:
    """Unpacks an array."""
    return np.frombuffer(tensor.data, dtype=_DTYPE[tensor.data_type]).reshape(tuple(tensor.shape))
