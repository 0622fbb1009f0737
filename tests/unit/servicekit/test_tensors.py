"""Arrays to tensors and back."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from servicekit.errors import InvalidArgument, Reason
from servicekit.tensors import check, decode, encode, encode_rows
from triptych.tensor.v1 import tensor_pb2

DTYPES = ["u1", "i1", "<f2", "<f4", "<i8"]


@given(st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))))
def test_round_trip(array: npt.NDArray[np.generic]) -> None:
    """What is packed comes back with type, shape and every bit, NaN included."""
    got = decode(encode(array), "tensor")

    assert (array.dtype, array.shape, array.tobytes()) == (got.dtype, got.shape, got.tobytes())


def test_big_endian_is_turned() -> None:
    """An array of the other byte order travels little-endian."""
    array = np.array([1.0, 2.0], ">f4")

    assert array.astype("<f4").tobytes() == encode(array).data


def test_a_strided_view_is_packed_in_order() -> None:
    """A transposed view travels row-major."""
    array = np.arange(6, dtype=np.uint8).reshape(2, 3).T

    assert [0, 3, 1, 4, 2, 5] == list(encode(array).data)


@pytest.mark.parametrize("dtype", ["f8", "i4", "u2", "?", "U1", "O"])
def test_other_types_have_no_place(dtype: str) -> None:
    """A type that the contract lacks raises instead of being converted."""
    with pytest.raises(TypeError, match="cannot hold"):
        encode(np.zeros(2, dtype))


def test_decode_does_not_copy() -> None:
    """The array is a view of the bytes that protobuf handed out, once."""
    array: Any = decode(encode(np.arange(1000, dtype=np.float32).reshape(10, 100)), "tensor")
    while isinstance(array, np.ndarray):
        array = array.base

    assert isinstance(array, bytes)


def test_decode_is_read_only() -> None:
    """Nobody can change a message through the array."""
    with pytest.raises(ValueError, match="read-only"):
        decode(encode(np.zeros(3, np.uint8)), "tensor")[0] = 1


@pytest.mark.parametrize(
    ("field", "words", "tensor"),
    [
        ("t.data_type", "no known data type", tensor_pb2.Tensor(shape=[1], data=b"x")),
        ("t.data_type", "no known data type", tensor_pb2.Tensor(data_type=99, shape=[1], data=b"x")),  # type: ignore[arg-type]
        ("t.shape", "at most 8 dimensions", tensor_pb2.Tensor(data_type="DATA_TYPE_UINT8", shape=[1] * 9, data=b"x")),
        ("t.shape", "none negative", tensor_pb2.Tensor(data_type="DATA_TYPE_UINT8", shape=[-1, -1], data=b"x")),
        ("t.data", "2 bytes .*; there are 3", tensor_pb2.Tensor(data_type="DATA_TYPE_UINT8", shape=[2], data=b"abc")),
        ("t.data", "8 bytes .*; there are 0", tensor_pb2.Tensor(data_type="DATA_TYPE_FP32", shape=[2])),
        ("t.data", "4 bytes .*; there are 3", tensor_pb2.Tensor(data_type="DATA_TYPE_FP32", data=b"abc")),
    ],
)
def test_faults_are_named(field: str, words: str, tensor: tensor_pb2.Tensor) -> None:
    """Type, shape and length that do not fit are refused with the field at fault."""
    with pytest.raises(InvalidArgument, match=words) as caught:
        check(tensor, "t")

    assert (Reason.TENSOR_INVALID, field) == (caught.value.reason, caught.value.field)


def test_an_overflowing_shape_is_counted_exactly() -> None:
    """A product beyond 64 bits does not wrap around to a small number."""
    tensor = tensor_pb2.Tensor(data_type=tensor_pb2.DATA_TYPE_UINT8, shape=[2**32, 2**32], data=b"")

    with pytest.raises(InvalidArgument, match=str(2**64)):
        check(tensor, "t")


@given(st.lists(hnp.arrays("u1", (2, 3)), max_size=5))
def test_rows_are_stacked(rows: list[npt.NDArray[np.uint8]]) -> None:
    """Stacking equals numpy's, and no rows give an empty tensor of the right shape."""
    got = decode(encode_rows(rows, (2, 3), tensor_pb2.DATA_TYPE_UINT8), "t")

    np.testing.assert_array_equal(np.array(rows, np.uint8).reshape(len(rows), 2, 3), got)
