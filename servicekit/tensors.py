"""Tensors as the services exchange them: type and shape in the message, the data beside it (`servicekit.parcel`)."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from servicekit.errors import InvalidArgument, Reason
from servicekit.parcel import Piece
from triptych.tensor.v1 import tensor_pb2

MAX_DIMENSIONS = 8

_ITEM_BYTES: dict[int, int] = {
    tensor_pb2.DATA_TYPE_UINT8: 1,
    tensor_pb2.DATA_TYPE_INT8: 1,
    tensor_pb2.DATA_TYPE_FP16: 2,
    tensor_pb2.DATA_TYPE_FP32: 4,
    tensor_pb2.DATA_TYPE_INT64: 8,
}


def describe(shape: Sequence[int], data_type: tensor_pb2.DataType) -> tensor_pb2.Tensor:
    """Returns a tensor without its data."""
    return tensor_pb2.Tensor(data_type=data_type, shape=shape)


def check(tensor: tensor_pb2.Tensor, pieces: Sequence[Piece], field: str) -> None:
    """Checks that a tensor and its data are what the contract says.

    Raises:
        InvalidArgument: type, shape and length do not fit together; the message says which.
    """
    item_bytes = _ITEM_BYTES.get(tensor.data_type)
    if item_bytes is None:
        raise InvalidArgument(
            "The tensor has no known data type.", reason=Reason.TENSOR_INVALID, field=f"{field}.data_type"
        )
    if len(tensor.shape) > MAX_DIMENSIONS or any(size < 0 for size in tensor.shape):
        message = f"A tensor has at most {MAX_DIMENSIONS} dimensions, none negative."
        raise InvalidArgument(message, reason=Reason.TENSOR_INVALID, field=f"{field}.shape")
    expected, found = math.prod(tensor.shape) * item_bytes, sum(map(len, pieces))
    if found != expected:
        message = f"The shape {list(tensor.shape)} asks for {expected} bytes of data; there are {found}."
        raise InvalidArgument(message, reason=Reason.TENSOR_INVALID, field=f"{field}.data")


def whole(pieces: Sequence[Piece]) -> Piece:
    """Joins pieces; a single one is not copied."""
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def cut(pieces: Sequence[Piece], rows: int) -> list[Piece]:
    """Returns data as one piece per row, without copying where it is so already, or in one piece."""
    if len(pieces) == rows and len(set(map(len, pieces))) <= 1:  # else as many by chance: one may hold several rows
        return list(pieces)
    data = memoryview(whole(pieces))
    size = len(data) // max(rows, 1)
    return [data[row * size : (row + 1) * size] for row in range(rows)]


def floats(pieces: Sequence[Piece], rows: int) -> npt.NDArray[np.float32]:
    """Returns fp32 data as `[rows, n]`, read-only."""
    return np.frombuffer(whole(pieces), dtype="<f4").reshape(rows, -1)


def piece(array: npt.NDArray[np.generic]) -> memoryview:
    """Returns an array's bytes, little-endian and without a copy where it is so already."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return little.data.cast("B") if little.size else memoryview(b"")
