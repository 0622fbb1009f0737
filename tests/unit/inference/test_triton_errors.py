"""What Triton's error texts mean: one code of its own stands for many things."""

import pytest
from fakes.triton import (
    DEAD_STUB,
    NO_VERSIONS,
    NOT_AT_READY,
    QUEUE_FULL,
    QUEUE_TIMEOUT,
    RESTRICTED,
    STOPPING,
    UNKNOWN_MODEL,
)

from servicekit.errors import Code, Reason
from services.inference.triton_errors import classify

TABLE = [
    (Code.RESOURCE_EXHAUSTED, Reason.MODEL_QUEUE_FULL, 0.5, Code.UNAVAILABLE, QUEUE_FULL),
    (Code.RESOURCE_EXHAUSTED, Reason.MODEL_QUEUE_FULL, 0.5, Code.UNAVAILABLE, QUEUE_TIMEOUT),
    (Code.INTERNAL, Reason.INTERNAL, None, Code.UNAVAILABLE, RESTRICTED),
    (Code.UNAVAILABLE, Reason.DEPENDENCY_UNAVAILABLE, 1.0, Code.UNAVAILABLE, STOPPING),
    (Code.UNAVAILABLE, Reason.DEPENDENCY_UNAVAILABLE, 1.0, Code.UNAVAILABLE, "connection refused"),
    (Code.UNAVAILABLE, Reason.MODEL_NOT_READY, 1.0, Code.NOT_FOUND, UNKNOWN_MODEL),
    (Code.UNAVAILABLE, Reason.MODEL_NOT_READY, 1.0, Code.NOT_FOUND, NO_VERSIONS),
    (Code.UNAVAILABLE, Reason.MODEL_NOT_READY, 1.0, Code.UNAVAILABLE, NOT_AT_READY),
    (Code.UNAVAILABLE, Reason.MODEL_NOT_READY, 1.0, Code.INTERNAL, DEAD_STUB),
    (Code.UNAVAILABLE, Reason.MODEL_NOT_READY, 1.0, Code.INTERNAL, "Stub process is not healthy."),
    (Code.DEADLINE_EXCEEDED, Reason.DEADLINE_EXCEEDED, None, Code.DEADLINE_EXCEEDED, "Deadline Exceeded"),
    (Code.CANCELLED, Reason.CALLER_CANCELLED, None, Code.CANCELLED, "[request id: 7] cancelled"),
    (Code.INTERNAL, Reason.INTERNAL, None, Code.INVALID_ARGUMENT, "unexpected shape for input 'image'"),
    (Code.INTERNAL, Reason.INTERNAL, None, Code.INTERNAL, "onnx runtime error at /models/tiny/1/model.onnx"),
    (Code.INTERNAL, Reason.INTERNAL, None, Code.UNKNOWN, ""),
    (Code.INTERNAL, Reason.INTERNAL, None, Code.RESOURCE_EXHAUSTED, "message larger than max"),
]


@pytest.mark.parametrize(("code", "reason", "retry_after_s", "given", "text"), TABLE)
def test_every_answer_is_classified(
    code: Code, reason: Reason, retry_after_s: float | None, given: Code, text: str
) -> None:
    """Triton's code and text decide code, reason and pause of ours."""
    got = classify(given, text)

    assert (code, reason, retry_after_s) == (got.code, got.reason, got.retry_after_s)


@pytest.mark.parametrize("code", list(Code))
def test_tritons_text_stays_inside(code: Code) -> None:
    """No word of Triton's reaches a caller."""
    assert "secret" not in classify(code, "secret /models/tiny").message


def test_a_queue_timeout_blames_nobody() -> None:
    """The limit may be the model's own: the sentence does not say that the caller set it."""
    assert (
        "The request waited longer than the model's queue allows." == classify(Code.UNAVAILABLE, QUEUE_TIMEOUT).message
    )
