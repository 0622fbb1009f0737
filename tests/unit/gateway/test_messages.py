"""Messages of several images: rows meet their outcomes again, and a wrong answer reaches nobody."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import messages
from gateway.messages import Decoded, Encoded, Inferred, Input, InputKey, Kind, Output, OutputKey
from servicekit.errors import Internal, InvalidArgument, Reason, ResourceExhausted, TriptychError
from servicekit.parcel import Parcel, Piece
from servicekit.status import to_item
from servicekit.tensors import check, describe
from triptych.inference.v1 import inference_service_pb2 as inference_pb
from triptych.postprocess.v1 import postprocess_service_pb2 as postprocess_pb
from triptych.preprocess.v1 import preprocess_service_pb2 as preprocess_pb
from triptych.tensor.v1 import tensor_pb2

UINT8 = tensor_pb2.DATA_TYPE_UINT8
FP32 = tensor_pb2.DATA_TYPE_FP32
PIXELS = Kind(UINT8, (1, 2))
LOGITS = Kind(FP32, (1,))
FAULT = InvalidArgument("Damaged.", reason=Reason.IMAGE_CORRUPT, field="content")


def _preprocessed(good: Sequence[bool], pieces: Sequence[bytes], shape: Sequence[int]) -> Parcel[Any]:
    """Answers for images of which some are at fault; the i-th took i milliseconds."""
    outcomes = [
        preprocess_pb.PreprocessOutcome(image=preprocess_pb.PreprocessedImage(compute_ms=index))
        if is_good
        else preprocess_pb.PreprocessOutcome(error=to_item(FAULT))
        for index, is_good in enumerate(good)
    ]
    return Parcel(preprocess_pb.PreprocessImagesResponse(tensor=describe(shape, UINT8), outcomes=outcomes), pieces)


def _predicted(good: Sequence[bool], pieces: Sequence[bytes], shape: Sequence[int]) -> Parcel[Any]:
    outcomes = [
        inference_pb.PredictOutcome(ok={}) if is_good else inference_pb.PredictOutcome(error=to_item(FAULT))
        for is_good in good
    ]
    response = inference_pb.PredictLogitsResponse(
        logits=describe(shape, UINT8), outcomes=outcomes, model="tiny", version="7", queue_ms=1, compute_ms=2
    )
    return Parcel(response, pieces)


def _images(count: int) -> list[Encoded]:
    return [Encoded(b"x", 0)] * count


def _inputs(count: int) -> list[Input]:
    return [Input(b"x", 0)] * count


READERS: list[tuple[Callable[..., Parcel[Any]], Callable[..., list[Any]], Callable[[int], list[Any]]]] = [
    (_preprocessed, messages.decoded, _images),
    (_predicted, messages.inferred, _inputs),
]
hops = pytest.mark.parametrize(("answer", "read", "ask"), READERS, ids=["preprocess", "inference"])


@hops
@given(good=st.lists(st.booleans(), min_size=1, max_size=9), stacked=st.booleans())
def test_rows_meet_their_outcomes(
    answer: Callable[..., Parcel[Any]],
    read: Callable[..., list[Any]],
    ask: Callable[[int], list[Any]],
    good: list[bool],
    stacked: bool,
) -> None:
    """Each good image has its own row whichever others are at fault, in one piece or row by row."""
    rows = [bytes([index, index]) for index, is_good in enumerate(good) if is_good]
    got = read(answer(good, [b"".join(rows)] if stacked else rows, (len(rows), 1, 2)), ask(len(good)))

    assert [bytes([index, index]) if is_good else "Damaged." for index, is_good in enumerate(good)] == [
        each.message if isinstance(each, TriptychError) else bytes(each.row) for each in got
    ]


WRONG: dict[str, tuple[list[bool], list[bytes], list[int]]] = {
    "fewer outcomes": ([True], [b"ab"], [1, 1, 2]),
    "more outcomes": ([True, True, True], [b"abcdef"], [3, 1, 2]),
    "no outcomes": ([], [], [0, 1, 2]),
    "fewer rows": ([True, True], [b"ab"], [1, 1, 2]),
    "more rows": ([True, False], [b"abcd"], [2, 1, 2]),
    "rows for nobody": ([False, False], [b"abcd"], [2, 1, 2]),
    "no shape": ([True, True], [b"a"], []),
    "less data": ([True, True], [b"abc"], [2, 1, 2]),
    "more data": ([True, True], [b"abcde"], [2, 1, 2]),
    "no data": ([True, True], [], [2, 1, 2]),
    "negative": ([True, True], [b"abcd"], [-2, -1, 2]),
}


@hops
@pytest.mark.parametrize(("good", "pieces", "shape"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_internal(
    answer: Callable[..., Parcel[Any]],
    read: Callable[..., list[Any]],
    ask: Callable[[int], list[Any]],
    good: list[bool],
    pieces: list[bytes],
    shape: list[int],
) -> None:
    """An answer that does not fit what was asked is the services' fault: no caller is told of a field of its own."""
    with pytest.raises(Internal) as caught:
        read(answer(good, pieces, shape), ask(2))

    assert "" == caught.value.field


@hops
def test_an_answer_of_an_unknown_type_is_internal(
    answer: Callable[..., Parcel[Any]], read: Callable[..., list[Any]], ask: Callable[[int], list[Any]]
) -> None:
    """A tensor that nobody can read is the services' fault too."""
    parcel = answer([True], [b"ab"], [1, 1, 2])
    for name in ("tensor", "logits"):
        if name in parcel.message.DESCRIPTOR.fields_by_name:
            getattr(parcel.message, name).data_type = tensor_pb2.DATA_TYPE_UNSPECIFIED
    with pytest.raises(Internal):
        read(parcel, ask(1))


def test_a_decoded_image_says_what_it_is() -> None:
    """Its kind is type and shape of its row alone; its time is its own."""
    good = _preprocessed([True, False, True], [b"abcd"], (2, 1, 2))
    first, _, last = messages.decoded(good, _images(3))

    assert (Decoded(b"ab", PIXELS, 0), Decoded(b"cd", PIXELS, 2)) == (first, last)


def test_an_images_fault_is_kept_whole() -> None:
    """Class, reason, field and hint of an image's error are the service's."""
    shed = ResourceExhausted("Full.", retry_after_s=0.5)
    answer = _preprocessed([False, False], [], (0, 1, 2))
    answer.message.outcomes[1].error.CopyFrom(to_item(shed))
    corrupt, full = messages.decoded(answer, _images(2))

    assert isinstance(corrupt, InvalidArgument)
    assert isinstance(full, ResourceExhausted)
    assert (Reason.IMAGE_CORRUPT, "content", "Full.", 0.5) == (
        corrupt.reason,
        corrupt.field,
        full.message,
        full.retry_after_s,
    )


def test_logits_say_where_they_come_from() -> None:
    """Model, version and kind make the key of what may go on together; times are those of the message."""
    (got,) = messages.inferred(_predicted([True], [b"ab"], (1, 1, 2)), _inputs(1))

    assert Inferred(b"ab", OutputKey("tiny", "7", PIXELS), 1, 2) == got


def test_images_are_asked_for_with_their_own_time() -> None:
    """Each image of a shared message carries what its own caller has left."""
    now_s = time.monotonic()
    request = messages.preprocess_request("tiny", [Encoded(b"a", now_s + 100), Encoded(b"b", now_s - 100)])

    assert ("tiny", [b"a", b"b"]) == (request.model, [image.content for image in request.images])
    assert [100_000, -100_000] == pytest.approx([image.time_left_ms for image in request.images], rel=0.05)


def test_rows_are_asked_for_with_their_own_time() -> None:
    """Rows are stacked in order without being copied, each with its caller's time."""
    now_s = time.monotonic()
    rows: list[Piece] = [b"abcd", memoryview(b"efgh")]
    parcel = messages.inference_request(
        InputKey("tiny", "7", LOGITS), [Input(rows[0], now_s + 100), Input(rows[1], now_s + 200)]
    )

    assert ("tiny", "7", describe((2, 1), FP32)) == (
        parcel.message.model,
        parcel.message.version,
        parcel.message.tensor,
    )
    assert [id(row) for row in rows] == [id(each) for each in parcel.pieces]
    assert [100_000, 200_000] == pytest.approx(list(parcel.message.time_left_ms), rel=0.05)
    check(parcel.message.tensor, parcel.pieces, "tensor")


def test_rankings_are_asked_for_with_their_own_options() -> None:
    """Each row carries its caller's wishes."""
    parcel = messages.postprocess_request(
        OutputKey("tiny", "7", LOGITS), [Output(b"abcd", 1, 0.5), Output(b"efgh", 9, 0)]
    )

    assert [(1, 0.5), (9, 0)] == [(each.top_k, each.min_score) for each in parcel.message.options]
    assert (describe((2, 1), FP32), b"abcdefgh") == (parcel.message.logits, b"".join(parcel.pieces))


@given(st.lists(st.booleans(), min_size=1, max_size=9))
def test_rankings_meet_their_outcomes(good: list[bool]) -> None:
    """Each row has its own ranking or its own error, in order."""
    rankings = [
        postprocess_pb.Ranking(predictions=[postprocess_pb.Prediction(index=index)]) for index in range(len(good))
    ]
    outcomes = [
        postprocess_pb.RankOutcome(ranking=ranking)
        if is_good
        else postprocess_pb.RankOutcome(error=to_item(InvalidArgument(str(index))))
        for index, (is_good, ranking) in enumerate(zip(good, rankings, strict=True))
    ]
    got = messages.ranked(postprocess_pb.RankLabelsResponse(outcomes=outcomes), [Output(b"x", 1, 0)] * len(good))

    assert [
        ranking if is_good else str(index) for index, (is_good, ranking) in enumerate(zip(good, rankings, strict=True))
    ] == [each.message if isinstance(each, TriptychError) else each for each in got]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_rankings_is_internal(count: int) -> None:
    """An answer for other rows than were asked for reaches nobody."""
    with pytest.raises(Internal):
        messages.ranked(postprocess_pb.RankLabelsResponse(outcomes=[{}] * count), [Output(b"x", 1, 0)] * 2)
