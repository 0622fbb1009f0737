"""Steps, epochs, checkpoints: the course of a training."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from modelkit.train.augment import Batch, augmented, draw
from modelkit.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from modelkit.train.distributed import average_buffers, shared, total, wait
from modelkit.train.journal import Journal
from modelkit.train.measure import Figures, evaluate
from modelkit.train.networks import WEIGHTS_FILE, Classifier, head
from modelkit.train.objective import Objective, targets_of
from modelkit.train.pixels import Split
from modelkit.train.recipe import Recipe
from modelkit.train.sampling import Shard, batch_indices, step_seed, steps_per_epoch
from modelkit.train.schedule import factor
from modelkit.train.served_teacher import Answers
from modelkit.train.step import Learner, Step, make_optimiser, train_step, unwrapped

BEST_FILE = f"best-{WEIGHTS_FILE}"

Watch = Callable[[int, int, str], None]
"""Is told the steps done, the steps in all, and a few words."""


@dataclass
class Course:
    """Is one training under way."""

    recipe: Recipe
    folder: Path
    learner: Learner
    train: Split
    classes: int
    monitored: Split | None = None
    answers: Answers | None = None
    """Of a served teacher to the pictures of `train`."""
    shard: Shard = field(default_factory=Shard)
    watch: Watch = lambda _done, _all, _words: None

    @property
    def epoch_steps(self) -> int:
        """Steps of an epoch."""
        return steps_per_epoch(len(self.train), self.recipe.batch)

    @property
    def steps(self) -> int:
        """Steps of the whole run, unless it ends early."""
        return self.recipe.epochs * self.epoch_steps


def make_learner(recipe: Recipe, model: Classifier, objective: Objective) -> Learner:
    """Puts together what a step needs."""
    average = None
    if recipe.ema is not None:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
    return Learner(
        model=model,
        optimiser=make_optimiser(model, recipe.optimiser),
        objective=objective,
        precision=recipe.precision,
        clip_norm=recipe.clip_norm,
        average=average,
        scaler=torch.amp.GradScaler(recipe.device) if recipe.precision == "fp16" else None,
    )


def run_course(course: Course) -> Progress:
    """Trains from the last checkpoint to the end; the learner then holds the last weights."""
    progress = load_checkpoint(course.folder, course.learner, course.shard)
    if course.shard.rank > 0:
        return _run(course, progress, None)
    with Journal(course.folder, progress.step) as journal:
        return _run(course, progress, journal)


def _run(course: Course, progress: Progress, journal: Journal | None) -> Progress:
    recipe, begun = course.recipe, time.monotonic() - progress.seconds
    _start_epoch(course, progress.step // course.epoch_steps)
    while progress.step < course.steps and not _ended_early(recipe, progress):
        done = take_step(course, progress.step)
        progress.step += 1
        _note(course, progress.step, done, journal)
        epoch, within = divmod(progress.step, course.epoch_steps)
        if within == 0:
            _end_epoch(course, progress, journal)
            _start_epoch(course, epoch)
        if within == 0 or (recipe.checkpoint_steps and progress.step % recipe.checkpoint_steps == 0):
            progress.seconds = time.monotonic() - begun
            _checkpoint(course, progress, journal)
    return progress


def take_step(course: Course, step: int) -> Step:
    """Takes the step with the given number: the same one each time it is asked for."""
    recipe, shard = course.recipe, course.shard
    torch.manual_seed(step_seed(recipe.seed, step, 1 + shard.rank))  # dropout's
    rate = recipe.optimiser.lr * factor(recipe.schedule, step, course.steps)
    return train_step(course.learner, load_batch(course, step).parts(recipe.accumulate), rate)


def load_batch(course: Course, step: int) -> Batch:
    """Loads and augments this process's pictures of a step."""
    recipe = course.recipe
    rows = course.shard.of(recipe.batch)
    chosen = batch_indices(len(course.train), recipe.batch, step, recipe.seed)[rows]
    device = next(course.learner.model.parameters()).device
    images, labels = (torch.tensor(each[chosen], device=device) for each in (course.train.pixels, course.train.labels))
    drawn = draw(recipe.augment, recipe.batch, step_seed(recipe.seed, step)).rows(rows, device)
    targets = targets_of(labels, course.classes, recipe.label_smoothing)
    answers = None if course.answers is None else course.answers.of(chosen, drawn.mirrored.cpu().numpy()).to(device)
    return augmented(Batch(images, targets, answers), recipe.augment, drawn)


def _note(course: Course, step: int, done: Step, journal: Journal | None) -> None:
    recipe = course.recipe
    course.watch(step, course.steps, f"loss {done.loss:.3f}")
    if step % recipe.log_steps:
        return
    loss = total(torch.tensor(done.loss / course.shard.world, dtype=torch.float64), course.shard).item()
    if journal is not None:
        rate = recipe.optimiser.lr * factor(recipe.schedule, step - 1, course.steps)
        journal.note("train", step, loss=loss, lr=rate, grad_norm=done.grad_norm, epoch=step / course.epoch_steps)


def _start_epoch(course: Course, epoch: int) -> None:
    """Sets the model to training; while the backbone is frozen, only the last layer."""
    model = unwrapped(course.learner.model)
    frozen = epoch < course.recipe.freeze_epochs
    model.train(not frozen)
    last = head(model)
    last.train()
    for parameter in model.parameters():
        parameter.requires_grad_(not frozen)
    for parameter in last.parameters():
        parameter.requires_grad_()
    course.learner.model = shared(model, course.shard)


def _end_epoch(course: Course, progress: Progress, journal: Journal | None) -> None:
    if course.monitored is None or course.recipe.monitor is None:
        return
    figures = evaluate_result(course, course.monitored)
    if journal is not None:
        journal.note(course.recipe.monitor, progress.step, loss=figures.loss, top1=figures.top1, top5=figures.top5)
    better = figures.top1 > progress.best
    progress.best, progress.stale = (figures.top1, 0) if better else (progress.best, progress.stale + 1)
    if better and course.recipe.early_stop is not None and course.shard.rank == 0:
        save_best(course)


def evaluate_result(course: Course, split: Split) -> Figures:
    """Measures what would be the result if the run ended now; processes share the work."""
    _average_buffers(course)
    return evaluate(result_of(course.learner), split, precision=course.recipe.precision, shard=course.shard)


def result_of(learner: Learner) -> nn.Module:
    """Returns the average of the weights where there is one, else the weights."""
    if learner.average is not None:
        averaged: nn.Module = learner.average.module
        return averaged
    return unwrapped(learner.model)


def save_best(course: Course) -> None:
    """Keeps the weights of the best epoch so far."""
    from safetensors.torch import save  # noqa: PLC0415

    from modelkit.train.files import write_atomically  # noqa: PLC0415

    weights = {name: tensor.contiguous() for name, tensor in result_of(course.learner).state_dict().items()}
    write_atomically(course.folder / BEST_FILE, save(weights))


def _ended_early(recipe: Recipe, progress: Progress) -> bool:
    return recipe.early_stop is not None and progress.stale >= recipe.early_stop


def _average_buffers(course: Course) -> None:
    average_buffers(unwrapped(course.learner.model), course.shard)
    if course.learner.average is not None:
        average_buffers(course.learner.average, course.shard)


def _checkpoint(course: Course, progress: Progress, journal: Journal | None) -> None:
    """Saves the course; what was noted goes first, since a resumed run notes only what comes after."""
    _average_buffers(course)
    if journal is not None:
        journal.flush()
    if course.shard.rank == 0:
        save_checkpoint(course.folder, course.learner, progress)
    wait(course.shard)
