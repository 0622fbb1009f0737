"""What Triton's errors mean. One code of Triton's stands for many things, and few of them are worth a retry.

UNAVAILABLE alone says: queue full, waited too long in the queue, model being unloaded or swapped, wrong header for a
restricted call, server stopping, nobody listening. The texts are those of Triton 2.51 (core, and its Python backend).
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
_UNLOADING = "is not at ready state"
_DEAD_STUB = ("Stub process", "not healthy")


def classify(code: Code, message: str) -> TriptychError:
    """Turns Triton's answer into ours; its text goes no further, since it may hold names and paths."""
    if code is Code.UNAVAILABLE:
        return _classify_unavailable(message)
    if code is Code.NOT_FOUND:
        # "unknown model" and, while the last version unloads, "has no available versions". Only models that our
        # manifests know are asked for, so Triton is starting, stopping or swapping it.
        return _not_ready("The model is not loaded at the moment.")
    if code is Code.DEADLINE_EXCEEDED:
        return DeadlineExceeded("The model server took longer than the caller waits.")
    if code is Code.CANCELLED:
        return Cancelled("The call was cancelled before the model ran.")
    if code is Code.INTERNAL and any(words in message for words in _DEAD_STUB):
        # The process that computes has died, and Triton never starts another; it goes on calling the model ready.
        return _not_ready("The model's process has died.")
    return Internal("The model server failed on this request.")


def _classify_unavailable(message: str) -> TriptychError:
    if _QUEUE_FULL in message:
        return _full("The model's queue is full.")
    if _QUEUE_TIMEOUT in message:  # the caller's time or the model's own limit, whichever is shorter: it does not say
        return _full("The request waited longer than the model's queue allows.")
    if _UNLOADING in message:
        return _not_ready("The model is not loaded at the moment.")
    if _RESTRICTED in message:
        return Internal("The model server refused the inference service: the restricted-protocol header is wrong.")
    return Unavailable("The model server is away.", retry_after_s=1.0)


def _full(message: str) -> ResourceExhausted:
    """Returns the refusal of one version's queue: every version has its own, and that of another may have room."""
    return ResourceExhausted(message, reason=Reason.MODEL_QUEUE_FULL, retry_after_s=0.5)


def _not_ready(message: str) -> Unavailable:
    return Unavailable(message, reason=Reason.MODEL_NOT_READY, retry_after_s=1.0)
