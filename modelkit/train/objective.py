"""What training makes small: cross-entropy with the labels, and the distance to a teacher's answers."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelkit.train.augment import Batch

Objective = Callable[[Batch, Tensor], Tensor]
"""From a batch and its logits, fp32 `[n, classes]`, to the mean loss, a scalar."""


def labels_only(batch: Batch, logits: Tensor) -> Tensor:
    """Returns the cross-entropy with the batch's targets."""
    return functional.cross_entropy(logits, batch.targets)


def distillation(teacher: nn.Module | None, *, temperature: float, alpha: float) -> Objective:
    """Returns an objective that blends the labels' cross-entropy with the distance to a teacher's answers.

    Args:
        teacher: in evaluation mode; it sees the augmented pictures. None takes the answers that the batch brings.
        temperature: divides both logits; its square keeps the gradients' size.
        alpha: weight of the teacher's word.
    """

    def objective(batch: Batch, logits: Tensor) -> Tensor:
        soft = distance(logits, _answers(teacher, batch), temperature)
        return alpha * soft + (1 - alpha) * labels_only(batch, logits)

    return objective


def _answers(teacher: nn.Module | None, batch: Batch) -> Tensor:
    if teacher is not None:
        with torch.no_grad():
            asked: Tensor = teacher(batch.images)
        return asked
    assert batch.answers is not None  # noqa: S101 -- `load_batch` brings them where the recipe has a served teacher
    return batch.answers


def distance(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Returns the mean KL divergence from softened teacher to softened student, times the squared temperature."""
    said = functional.log_softmax(student / temperature, dim=1)
    wanted = functional.log_softmax(teacher / temperature, dim=1)
    return functional.kl_div(said, wanted, reduction="batchmean", log_target=True) * temperature**2


def targets_of(labels: Tensor, classes: int, smoothing: float) -> Tensor:
    """Returns int64 labels `[n]` as distributions, fp32 `[n, classes]`, with `smoothing` spread over all classes."""
    return functional.one_hot(labels, classes).float() * (1 - smoothing) + smoothing / classes
