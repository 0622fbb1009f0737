"""The arithmetic of one batch."""

import numpy as np
import pytest
from fakes.repository import HEIGHT, WIDTH
from hypothesis import given
from hypothesis import strategies as st

from servicekit.errors import InvalidArgument, Reason
from servicekit.manifest import Recipe
from services.inference.batch import check_input, cut_for, finite_rows, keep_rows
from triptych.tensor.v1 import tensor_pb2

RECIPE = Recipe(width=WIDTH, height=HEIGHT, crop=1)
UINT8 = tensor_pb2.DATA_TYPE_UINT8


@pytest.mark.parametrize("rows", [1, 8])
def test_a_batch_of_inputs_is_counted(rows: int) -> None:
    """The first dimension is the number of rows."""
    assert rows == check_input(tensor_pb2.Tensor(data_type=UINT8, shape=[rows, HEIGHT, WIDTH, 3]), RECIPE, 8)


@pytest.mark.parametrize(
    ("data_type", "shape"),
    [
        (tensor_pb2.DATA_TYPE_FP32, [1, HEIGHT, WIDTH, 3]),
        (UINT8, []),
        (UINT8, [1]),
        (UINT8, [HEIGHT, WIDTH, 3]),
        (UINT8, [0, HEIGHT, WIDTH, 3]),
        (UINT8, [9, HEIGHT, WIDTH, 3]),
        (UINT8, [1, WIDTH, HEIGHT, 3]),
        (UINT8, [1, 3, HEIGHT, WIDTH]),
        (UINT8, [1, HEIGHT, WIDTH, 4]),
    ],
)
def test_another_tensor_is_refused(data_type: tensor_pb2.DataType, shape: list[int]) -> None:
    """The sentence says what the model wants and what came."""
    with pytest.raises(InvalidArgument, match=r"wants uint8 \[1 to 8, 2, 4, 3\], not DATA_TYPE_") as caught:
        check_input(tensor_pb2.Tensor(data_type=data_type, shape=shape), RECIPE, 8)

    assert (Reason.TENSOR_INVALID, "tensor") == (caught.value.reason, caught.value.field)


@pytest.mark.parametrize("pieces", [[bytes(range(6))], [b"ab", b"cd", b"ef"]])
def test_a_batch_that_fits_is_not_copied(pieces: list[bytes]) -> None:
    """All rows in one request are the caller's own pieces."""
    assert [id(each) for each in pieces] == [id(each) for each in cut_for(4, pieces, 3, [0, 1, 2])[0].pieces]


@given(
    st.integers(1, 12).flatmap(lambda rows: st.tuples(st.just(rows), st.sets(st.integers(0, rows - 1), min_size=1))),
    st.integers(1, 5),
    st.booleans(),
)
def test_wanted_rows_are_cut_in_order(case: tuple[int, set[int]], most: int, stacked: bool) -> None:
    """The chunks hold the wanted rows, each once and in order, none larger than the limit, however the batch came."""
    rows, chosen = case
    wanted = sorted(chosen)
    each = [bytes([row, row]) for row in range(rows)]

    chunks = cut_for(most, [b"".join(each)] if stacked else each, rows, wanted)
    data = [b"".join(chunk.pieces) for chunk in chunks]

    assert b"".join(each[row] for row in wanted) == b"".join(data)
    assert all(1 <= chunk.rows <= most for chunk in chunks)
    assert [2 * chunk.rows for chunk in chunks] == [len(part) for part in data]


def test_cutting_copies_no_row() -> None:
    """A row of a larger batch stays where it came."""
    data = bytes(range(6))
    ((row,),) = (chunk.pieces for chunk in cut_for(4, [data], 3, [1]))

    assert isinstance(row, memoryview)
    assert (data, b"\x02\x03") == (row.obj, bytes(row))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_numbers_are_found(bad: float) -> None:
    """One bad value spoils its row only."""
    logits = np.zeros((3, 4), "<f4")
    logits[1, 2] = bad

    assert [True, False, True] == finite_rows(logits.tobytes(), 3).tolist()


def test_good_rows_are_kept() -> None:
    """Bytes of the rows that are not kept are left out."""
    logits = np.arange(6, dtype="<f4").reshape(3, 2)

    assert logits[[0, 2]].tobytes() == keep_rows(logits.tobytes(), np.array([True, False, True]))


def test_keeping_all_copies_nothing() -> None:
    """Without a bad row the answer is the model's own bytes."""
    data = bytes(24)

    assert data is keep_rows(data, np.array([True, True, True]))
