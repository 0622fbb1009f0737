"""The arithmetic of one batch: which rows are wanted, how they are cut for Triton, which answers can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from servicekit.errors import InvalidArgument, Reason
from servicekit.manifest import Recipe
from servicekit.parcel import Piece
from servicekit.tensors import cut, floats, piece
from triptych.tensor.v1 import tensor_pb2


@dataclass(frozen=True, slots=True)
class Chunk:
    """Is what one request to Triton carries."""

    rows: int
    pieces: Sequence[Piece]


def check_input(tensor: tensor_pb2.Tensor, recipe: Recipe, max_rows: int) -> int:
    """Checks that a tensor is a batch of the model's inputs and returns its number of rows.

    Raises:
        InvalidArgument: it is not; the message says what it must be.
    """
    shape = list(tensor.shape)
    if (
        tensor.data_type != tensor_pb2.DATA_TYPE_UINT8
        or shape[1:] != [recipe.height, recipe.width, 3]
        or not 1 <= shape[0] <= max_rows
    ):
        wanted = f"uint8 [1 to {max_rows}, {recipe.height}, {recipe.width}, 3]"
        got = f"{tensor_pb2.DataType.Name(tensor.data_type)} {shape}"
        raise InvalidArgument(f"The model wants {wanted}, not {got}.", reason=Reason.TENSOR_INVALID, field="tensor")
    return shape[0]


def cut_for(max_batch_size: int, pieces: Sequence[Piece], rows: int, wanted: Sequence[int]) -> list[Chunk]:
    """Cuts the wanted rows into requests of at most `max_batch_size`, without copying them."""
    if len(wanted) == rows <= max_batch_size:
        return [Chunk(rows, pieces)]
    each = cut(pieces, rows)
    groups = [wanted[start : start + max_batch_size] for start in range(0, len(wanted), max_batch_size)]
    return [Chunk(len(group), [each[row] for row in group]) for group in groups]


def finite_rows(logits: Piece, rows: int) -> npt.NDArray[np.bool_]:
    """Tells which rows hold numbers only."""
    return np.asarray(np.isfinite(floats([logits], rows)).all(axis=1))


def keep_rows(logits: Piece, kept: npt.NDArray[np.bool_]) -> Piece:
    """Returns the kept rows' bytes; nothing is copied when all are."""
    return logits if kept.all() else piece(floats([logits], len(kept))[kept])
