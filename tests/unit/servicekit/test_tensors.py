"""Tensors apart from their messages: what fits together, and how data is joined and cut without copying it."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fakes.tensors import decode, encode
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from servicekit.errors import InvalidArgument, Reason
from servicekit.parcel import Piece
from servicekit.tensors import MAX_DIMENSIONS, check, cut, describe, floats, piece, whole
from triptych.tensor.v1 import tensor_pb2

UINT8 = tensor_pb2.DATA_TYPE_UINT8
DTYPES = ["u1", "i1", "<f2", "<f4", "<i8"]


@given(st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, min_side=0))))
def test_round_trip(array: npt.NDArray[np.generic]) -> None:
    """Description and bytes of an array fit together, and are type, shape and every bit of it, NaN included."""
    tensor = describe(array.shape, encode(array).data_type)
    data = piece(array)
    check(tensor, [data], "tensor")
    tensor.data = bytes(data)
    got = decode(tensor)

    assert (array.dtype, array.shape, array.tobytes()) == (got.dtype, got.shape, got.tobytes())


def test_big_endian_is_turned() -> None:
    """An array of the other byte order travels little-endian."""
    array = np.array([1.0, 2.0], ">f4")

    assert array.astype("<f4").tobytes() == piece(array)


def test_a_strided_view_is_packed_in_order() -> None:
    """A transposed view travels row-major."""
    array = np.arange(6, dtype=np.uint8).reshape(2, 3).T

    assert [0, 3, 1, 4, 2, 5] == list(piece(array))


def _memory(data: Any) -> int:
    """Returns where bytes lie."""
    return int(np.frombuffer(data, np.uint8).__array_interface__["data"][0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_packing_does_not_copy(dtype: str) -> None:
    """An array that lies in memory as it travels is not copied, read-only or not."""
    array = np.zeros((4, 6), dtype)
    array.flags.writeable = False

    assert _memory(array) == _memory(piece(array))


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
        check(tensor, [tensor.data], "t")

    assert (Reason.TENSOR_INVALID, field) == (caught.value.reason, caught.value.field)


def test_the_most_dimensions_pass() -> None:
    """The limit itself is allowed."""
    check(describe([1] * MAX_DIMENSIONS, UINT8), [b"x"], "t")


@pytest.mark.parametrize("pieces", [[b"abcdef"], [b"abc", b"def"], [b"", b"abcdef"], [b"a"] * 6])
def test_pieces_count_together(pieces: list[bytes]) -> None:
    """Data fits or does not whatever pieces it comes in."""
    check(describe([2, 3], UINT8), pieces, "t")
    with pytest.raises(InvalidArgument, match="asks for 7 bytes"):
        check(describe([7], UINT8), pieces, "t")


def test_an_overflowing_shape_is_counted_exactly() -> None:
    """A product beyond 64 bits does not wrap around to a small number."""
    with pytest.raises(InvalidArgument, match=str(2**64)):
        check(describe([2**32, 2**32], UINT8), [], "t")


def test_a_description_holds_no_data() -> None:
    """What travels beside the message is not in it."""
    assert tensor_pb2.Tensor(data_type=UINT8, shape=[2, 3]) == describe((2, 3), UINT8)


def _pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Cuts data anywhere; some pieces may be empty."""
    edges = [0, *sorted(cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.integers(1, 5), st.integers(1, 4), st.data())
def test_rows_are_cut_whatever_the_pieces(rows: int, size: int, draw: st.DataObject) -> None:
    """Rows come out equally long and in order, also where there happen to be as many pieces as rows."""
    data = bytes(range(rows * size))
    pieces = _pieces(data, draw.draw(st.lists(st.integers(0, len(data)), max_size=2 * rows)))

    assert [data[row * size : (row + 1) * size] for row in range(rows)] == [bytes(row) for row in cut(pieces, rows)]


def test_as_many_pieces_as_rows_need_not_be_the_rows() -> None:
    """Two rows in one piece, and an empty piece: as when every row of another request was at fault."""
    assert [b"ab", b"cd"] == [bytes(row) for row in cut([b"abcd", b""], 2)]


def test_rows_that_are_pieces_already_stay() -> None:
    """A row that came by itself is handed on as the same object."""
    pieces: list[Piece] = [b"ab", memoryview(b"cd")]

    assert [id(each) for each in pieces] == [id(row) for row in cut(pieces, 2)]


def test_one_piece_is_cut_without_copying() -> None:
    """Rows are views of the piece that they came in."""
    data = bytes(range(6))

    assert [_memory(data), _memory(data) + 3] == [_memory(row) for row in cut([data], 2)]


@pytest.mark.parametrize("pieces", [[], [b""]])
def test_no_rows_are_no_pieces(pieces: list[bytes]) -> None:
    """A batch of which nothing is left has no rows."""
    assert [] == cut(pieces, 0)


def test_a_single_piece_is_whole() -> None:
    """It is not copied; several are joined in order, and none are empty."""
    data = bytes(4)

    assert data is whole([data])
    assert b"abcd" == whole([b"ab", memoryview(b"c"), b"d"])
    assert b"" == whole([])


def test_floats_are_read_in_place() -> None:
    """fp32 data is seen as rows, not copied, wherever it begins, and nobody can change it."""
    array = np.arange(6, dtype="<f4").reshape(2, 3)
    data = memoryview(b"x" + array.tobytes())[1:]
    got = floats([data], 2)

    np.testing.assert_array_equal(array, got)
    assert (_memory(data), False) == (got.__array_interface__["data"][0], got.flags.writeable)


@given(st.integers(1, 3), st.data())
def test_floats_are_read_from_any_pieces(rows: int, draw: st.DataObject) -> None:
    """Pieces may be cut within a number."""
    array = draw.draw(hnp.arrays("<f4", (rows, 2)))
    cuts = draw.draw(st.lists(st.integers(0, array.nbytes), max_size=3))

    assert array.tobytes() == floats(_pieces(array.tobytes(), cuts), rows).tobytes()
