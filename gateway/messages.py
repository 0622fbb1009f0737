"""What each hop carries for an image, and how a message of several images is made and read. Pure.

Tensors pass through as they came: their bytes are never parsed here, only cut into rows and joined again.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from servicekit.errors import Internal, InvalidArgument, TriptychError
from servicekit.parcel import Parcel, Piece
from servicekit.status import from_item
from servicekit.tensors import check, cut, describe
from triptych.inference.v1 import inference_service_pb2 as inference_pb
from triptych.postprocess.v1 import postprocess_service_pb2 as postprocess_pb
from triptych.preprocess.v1 import preprocess_service_pb2 as preprocess_pb
from triptych.tensor.v1 import tensor_pb2


class Kind(NamedTuple):
    """Is what the rows of a tensor have in common."""

    data_type: tensor_pb2.DataType
    shape: tuple[int, ...]
    """Of one row."""


class Encoded(NamedTuple):
    """Is an image on its way to the preprocess service."""

    content: bytes
    deadline_s: float
    """On the monotonic clock."""
    row_bytes: int = 0
    """Of the input that will be made of it."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Is the model's input, made of an image."""

    row: Piece
    kind: Kind
    decode_ms: float


class InputKey(NamedTuple):
    """Is what inputs must share to travel together."""

    model: str
    version: str
    """Empty leaves the choice to the inference service."""
    kind: Kind


class Input(NamedTuple):
    """Is a row on its way to the inference service."""

    row: Piece
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Inferred:
    """Is the model's output for an image."""

    row: Piece
    key: "OutputKey"
    queue_ms: float
    compute_ms: float


class OutputKey(NamedTuple):
    """Is what outputs must share to travel together."""

    model: str
    version: str
    kind: Kind


class Output(NamedTuple):
    """Is a row on its way to the postprocess service."""

    row: Piece
    top_k: int
    min_score: float


def preprocess_request(model: str, items: Sequence[Encoded]) -> preprocess_pb.PreprocessImagesRequest:
    """Asks for inputs of a model."""
    now_s = time.monotonic()
    images = [
        preprocess_pb.EncodedImage(content=item.content, time_left_ms=(item.deadline_s - now_s) * 1e3) for item in items
    ]
    return preprocess_pb.PreprocessImagesRequest(model=model, images=images)


def decoded(
    response: Parcel[preprocess_pb.PreprocessImagesResponse], items: Sequence[Encoded]
) -> list[Decoded | TriptychError]:
    """Reads the outcome of each image."""
    outcomes = response.message.outcomes
    kind, rows = _rows(response.message.tensor, response.pieces, outcomes, len(items))
    return [
        from_item(outcome.error) if outcome.HasField("error") else Decoded(next(rows), kind, outcome.image.compute_ms)
        for outcome in outcomes
    ]


def inference_request(key: InputKey, items: Sequence[Input]) -> Parcel[inference_pb.PredictLogitsRequest]:
    """Asks for logits."""
    now_s = time.monotonic()
    request = inference_pb.PredictLogitsRequest(
        model=key.model,
        version=key.version,
        tensor=describe((len(items), *key.kind.shape), key.kind.data_type),
        time_left_ms=[(item.deadline_s - now_s) * 1e3 for item in items],
    )
    return Parcel(request, [item.row for item in items])


def inferred(
    response: Parcel[inference_pb.PredictLogitsResponse], items: Sequence[Input]
) -> list[Inferred | TriptychError]:
    """Reads the outcome of each row."""
    message = response.message
    kind, rows = _rows(message.logits, response.pieces, message.outcomes, len(items))
    key = OutputKey(message.model, message.version, kind)
    return [
        from_item(outcome.error)
        if outcome.HasField("error")
        else Inferred(next(rows), key, message.queue_ms, message.compute_ms)
        for outcome in message.outcomes
    ]


def postprocess_request(key: OutputKey, items: Sequence[Output]) -> Parcel[postprocess_pb.RankLabelsRequest]:
    """Asks for rankings."""
    request = postprocess_pb.RankLabelsRequest(
        model=key.model,
        version=key.version,
        logits=describe((len(items), *key.kind.shape), key.kind.data_type),
        options=[postprocess_pb.RankOptions(top_k=item.top_k, min_score=item.min_score) for item in items],
    )
    return Parcel(request, [item.row for item in items])


def ranked(
    response: postprocess_pb.RankLabelsResponse, items: Sequence[Output]
) -> list[postprocess_pb.Ranking | TriptychError]:
    """Reads the outcome of each row."""
    _check_count(response.outcomes, len(items))
    return [from_item(outcome.error) if outcome.HasField("error") else outcome.ranking for outcome in response.outcomes]


def _rows(
    tensor: tensor_pb2.Tensor, pieces: Sequence[Piece], outcomes: Sequence[Any], expected: int
) -> tuple[Kind, Iterator[Piece]]:
    """Returns the rows, one for each outcome without an error.

    Raises:
        Internal: there are too few or too many, or the tensor contradicts itself.
    """
    _check_count(outcomes, expected)
    good = sum(not outcome.HasField("error") for outcome in outcomes)
    try:
        check(tensor, pieces, "tensor")
    except InvalidArgument:  # not of the caller's, who never sent a tensor
        raise Internal("A service answered with a tensor that does not fit its description.") from None
    shape = tuple(tensor.shape)
    if shape[:1] != (good,):
        raise Internal("A service answered with another number of rows than it said.")
    return Kind(tensor.data_type, shape[1:]), iter(cut(pieces, good))


def _check_count(outcomes: Sequence[Any], expected: int) -> None:
    if len(outcomes) != expected:
        raise Internal("A service answered for another number of images than it was asked.")
