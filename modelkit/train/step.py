"""One step of training: forward, backward, update."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from modelkit.train.augment import Batch
from modelkit.train.objective import Objective
from modelkit.train.recipe import Optimiser

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Learner:
    """Is everything that a step changes or needs."""

    model: nn.Module
    """In training mode; may be wrapped for several processes."""
    optimiser: torch.optim.Optimizer
    objective: Objective
    precision: str = "fp32"
    clip_norm: float | None = None
    average: AveragedModel | None = None
    """Follows the weights."""
    scaler: torch.amp.GradScaler | None = None
    """For fp16, whose gradients would vanish."""


@dataclass(frozen=True, slots=True)
class Step:
    """Is what came of a step."""

    loss: float
    """Of this process's pictures, before the update."""
    grad_norm: float
    """Before clipping."""


def train_step(learner: Learner, parts: list[Batch], lr: float) -> Step:
    """Updates the weights once.

    Args:
        learner: changed in place.
        parts: one batch in equal parts; their gradients add up to the gradient of the whole.
        lr: the learning rate of this step.
    """
    for group in learner.optimiser.param_groups:
        group["lr"] = lr
    learner.optimiser.zero_grad(set_to_none=True)
    loss = sum(_backward(learner, part, len(parts), last=part is parts[-1]) for part in parts)
    norm = _update(learner)
    if learner.average is not None:
        learner.average.update_parameters(unwrapped(learner.model))
    return Step(float(loss), norm)


def _backward(learner: Learner, part: Batch, count: int, *, last: bool) -> float:
    with _gradients_exchanged(learner.model, now=last):
        with autocast(part.images.device.type, learner.precision):
            logits = learner.model(part.images)
            loss = learner.objective(part, logits) / count
        (learner.scaler.scale(loss) if learner.scaler else loss).backward()
    return float(loss.detach())


def _gradients_exchanged(model: nn.Module, *, now: bool) -> AbstractContextManager[None]:
    """Lets processes exchange gradients in the last part only."""
    if isinstance(model, DistributedDataParallel) and not now:
        return model.no_sync()  # type: ignore[no-any-return,unused-ignore]
    return nullcontext()


def _update(learner: Learner) -> float:
    parameters = [p for p in learner.model.parameters() if p.grad is not None]
    if learner.scaler:
        learner.scaler.unscale_(learner.optimiser)
    norm = nn.utils.clip_grad_norm_(parameters, learner.clip_norm or float("inf"))
    if learner.scaler:
        learner.scaler.step(learner.optimiser)
        learner.scaler.update()
    else:
        learner.optimiser.step()
    return float(norm)


def autocast(device: str, precision: str) -> AbstractContextManager[None]:
    """Returns a context in which torch computes in the precision where that is safe."""
    if precision not in _AUTOCAST:
        return nullcontext()
    return torch.autocast(device, dtype=_AUTOCAST[precision])  # type: ignore[no-any-return,unused-ignore]


def fastest_precision(device: str) -> str:
    """Returns the precision in which the machine trains fastest: one that has no bf16 imitates it, slowly."""
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    known = torch.cpu.get_capabilities()
    return "bf16" if any(known.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")) else "fp32"


def unwrapped(model: nn.Module) -> nn.Module:
    """Returns the module itself where it is wrapped for several processes."""
    inner: nn.Module = model.module if isinstance(model, DistributedDataParallel) else model
    return inner


def make_optimiser(model: nn.Module, options: Optimiser) -> torch.optim.Optimizer:
    """Makes an optimiser under which norms and biases do not decay."""
    groups = list(_groups(model, options.weight_decay))
    if options.kind == "adamw":
        return torch.optim.AdamW(groups, lr=options.lr, betas=options.betas)
    return torch.optim.SGD(groups, lr=options.lr, momentum=options.momentum, nesterov=options.momentum > 0)


def _groups(model: nn.Module, weight_decay: float) -> Iterator[dict[str, object]]:
    parameters = list(model.parameters())
    yield {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay}
    yield {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0}
