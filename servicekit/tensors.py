"""numpy arrays to and from `triptych.tensor.v1.Tensor`, without copies on the way in."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from servicekit.errors import InvalidArgument, Reason
from triptych.tensor.v1 import tensor_pb2

MAX_DIMENSIONS = 8

_DTYPE: dict[int, np.dtype[Any]] = {
    tensor_pb2.DATA_TYPE_UINT8: np.dtype("u1"),
    tensor_pb2.DATA_TYPE_INT8: np.dtype("i1"),
    tensor_pb2.DATA_TYPE_FP16: np.dtype("<f2"),
    tensor_pb2.DATA_TYPE_FP32: np.dtype("<f4"),
    tensor_pb2.DATA_TYPE_INT64: np.dtype("<i8"),
}
_DATA_TYPE: dict[np.dtype[Any], Any] = {dtype: data_type for data_type, dtype in _DTYPE.items()}


def encode(array: npt.NDArray[np.generic]) -> tensor_pb2.Tensor:
    """Packs an array; its one copy is the one into the message.

    Raises:
        TypeError: the array's type has no place in the contract.
    """
    data_type = _DATA_TYPE.get(array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype)
    if data_type is None:
        raise TypeError(f"a tensor cannot hold {array.dtype}")
    data = np.ascontiguousarray(array, dtype=_DTYPE[data_type]).tobytes()
    return tensor_pb2.Tensor(data_type=data_type, shape=array.shape, data=data)


def check(tensor: tensor_pb2.Tensor, field: str) -> bytes:
    """Checks that a tensor is what its contract says, and returns its data: protobuf copies it at every access.

    Raises:
        InvalidArgument: type, shape and length do not fit together; the message says which.
    """
    dtype = _DTYPE.get(tensor.data_type)
    if dtype is None:
        raise InvalidArgument(
            "The tensor has no known data type.", reason=Reason.TENSOR_INVALID, field=f"{field}.data_type"
        )
    if len(tensor.shape) > MAX_DIMENSIONS or any(size < 0 for size in tensor.shape):
        message = f"A tensor has at most {MAX_DIMENSIONS} dimensions, none negative."
        raise InvalidArgument(message, reason=Reason.TENSOR_INVALID, field=f"{field}.shape")
    expected = math.prod(tensor.shape) * dtype.itemsize
    data = tensor.data
    if len(data) != expected:
        message = f"The shape {list(tensor.shape)} asks for {expected} bytes of data; there are {len(data)}."
        raise InvalidArgument(message, reason=Reason.TENSOR_INVALID, field=f"{field}.data")
    return data


def decode(tensor: tensor_pb2.Tensor, field: str) -> npt.NDArray[np.generic]:
    """Returns a read-only view of a tensor's data.

    Raises:
        InvalidArgument: as for `check`.
    """
    data = check(tensor, field)
    array: npt.NDArray[np.generic] = np.frombuffer(data, dtype=_DTYPE[tensor.data_type])
    return array.reshape(tuple(tensor.shape))


def encode_rows(
    rows: Sequence[npt.NDArray[np.generic]], shape: tuple[int, ...], data_type: tensor_pb2.DataType
) -> tensor_pb2.Tensor:
    """Stacks arrays of one shape into `[len(rows), *shape]`, copying each once; no rows give an empty tensor."""
    data = b"".join(np.ascontiguousarray(row, dtype=_DTYPE[data_type]).data for row in rows)
    return tensor_pb2.Tensor(data_type=data_type, shape=(len(rows), *shape), data=data)
