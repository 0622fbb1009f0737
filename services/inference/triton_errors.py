"""What Triton's errors mean. It says UNAVAILABLE for four different things, and only one of them is worth a retry.

The texts are Triton's own (core: dynamic_batch_scheduler.cc, scheduler_utils.cc, server.cc).
"""

from servicekit.errors import (
    Cancelled,
    Code,
    DeadlineExceeded,
    Internal,
    Reason,
    ResourceExhausted,
    TriptychError,
    Unavailable,
)

_QUEUE_FULL = "Exceeds maximum queue size"
_QUEUE_TIMEOUT = "Request timeout expired"
_RESTRICTED = "This protocol is restricted"


def classify(code: Code, message: str) -> TriptychError:
    """Turns Triton's answer into ours; its text stays here, since it may hold names and paths."""
    if code is Code.UNAVAILABLE:
        return _classify_unavailable(message)
    if code is Code.NOT_FOUND:
        # Only models that our manifests know are asked for, so Triton is starting, stopping or swapping it.
        return Unavailable("The model is not loaded at the moment.", reason=Reason.MODEL_NOT_READY, retry_after_s=1.0)
    if code is Code.DEADLINE_EXCEEDED:
        return DeadlineExceeded("The model server took longer than the caller waits.")
    if code is Code.CANCELLED:
        return Cancelled("The call was cancelled before the model ran.")
    return Internal("The model server failed on this request.")


def _classify_unavailable(message: str) -> TriptychError:
    if _QUEUE_FULL in message:
        return ResourceExhausted("The model's queue is full.", retry_after_s=0.5)
    if _QUEUE_TIMEOUT in message:
        return ResourceExhausted(
            "The request waited in the model's queue for as long as its caller does.", retry_after_s=0.5
        )
    if _RESTRICTED in message:
        return Internal("The model server refused the inference service: the restricted-protocol header is wrong.")
    return Unavailable("The model server is away.", retry_after_s=1.0)
