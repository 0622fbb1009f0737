"""Judges a candidate by photographs: without labels, what its parent answers to them counts as right.

So the gates of a trained run hold: accuracy and agreement are how far answers move, robustness is how much sooner
corruptions turn them over, and everything else is as it is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelkit import measure as measuring
from modelkit.compress.parity import check_int8
from modelkit.data.records import Record
from modelkit.engine import compiled, logits
from modelkit.evaluate.cost import latencies_ms
from modelkit.evaluate.robustness import measure_robustness
from modelkit.gate import Passed
from modelkit.gate import judge as judge_answers
from modelkit.release.gates import (
    CANDIDATE,
    COMPARED,
    MEAN_TOP1,
    PARENT,
    PROTOCOL,
    Check,
    Limits,
    as_fast,
    as_robust,
    judge,
    steady,
)
from modelkit.release.golden import ask_golden, choose, render
from modelkit.release.structure import check_structure
from modelkit.release.trial import decode, same_bits
from modelkit.tensorrt.gate import Verdict, check_tensorrt
from modelkit.variants import Pictures, photographs, small, unchanged
from servicekit.manifest import Output, Recipe

MAX_SLOWDOWN = 1.0
"""INT8 that is no faster than what it was made of serves nobody."""
Figures = Mapping[str, float | int | str]


@dataclass(frozen=True, slots=True)
class Trial:
    """Says what is tried, and by what."""

    original: bytes
    """The parent's ONNX file."""
    candidate: bytes
    """The INT8 file made of it."""
    parent: str
    """The parent's version."""
    folder: Path
    """With the photographs."""
    recipe: Recipe
    output: Output
    max_slowdown: float = MAX_SLOWDOWN


@dataclass(frozen=True, slots=True)
class Judged:
    """Is what the gates found of a candidate, none of which refused."""

    passed: Passed
    checks: list[Check]
    tensorrt: Verdict
    golden: bytes
    """The file of golden predictions."""


def judge_by_photographs(trial: Trial) -> Judged:
    """Lets a quantised file pass that every gate takes.

    Raises:
        GateError: a gate refuses, with the number and by how much.
        ParityError: the engines do not answer as the file says.
        NoPhotographsError: the folder holds none.
    """
    check_structure(trial.candidate, trial.recipe, trial.output)
    tensorrt = check_tensorrt(trial.candidate)
    plain = unchanged(photographs(trial.folder), trial.recipe)
    engines = check_int8(trial.candidate, plain, trial.recipe)
    answers = _answers(trial)
    found, figures = _held(trial, plain)
    judge(found)
    golden = _golden(trial)
    told: Figures = {
        **answers.figures,
        **figures,
        **{f"{engine}_difference_max": round(value, 4) for engine, value in engines.items()},
        "golden_pictures": ask_golden(golden, trial.candidate, trial.recipe),
        "tensorrt_gate": tensorrt.by,
        **({} if trial.max_slowdown == MAX_SLOWDOWN else {"limit_max_slowdown": trial.max_slowdown}),
    }
    return Judged(Passed(answers.sha256, dict(told)), found, tensorrt, golden)


def _answers(trial: Trial) -> Passed:
    """Has answers judged as CPUs without bf16 compute them, and as this one does, which gives the figures."""
    files = (trial.original, trial.candidate, trial.folder, trial.recipe)
    judge_answers(trial.candidate, measuring.measure(*files, precision="f32"))
    return judge_answers(trial.candidate, measuring.measure(*files))


def _held(trial: Trial, plain: Pictures) -> tuple[list[Check], Figures]:
    """Holds a candidate against its parent in what answers alone do not tell."""
    models = {PARENT: trial.original, CANDIDATE: trial.candidate}
    parent = f"version {trial.parent}"
    seen = f"{trial.folder.as_posix()} with the first classes of {parent}"
    robust = measure_robustness(
        {name: compiled(data) for name, data in models.items()}, _records(trial, plain), trial.recipe, dataset=seen
    )
    took = latencies_ms(models, trial.recipe, 1)
    checks = [
        steady(same_bits(*(logits(trial.candidate, plain) for _ in range(2)))),
        as_robust(robust[PARENT].mean_top1 - robust[CANDIDATE].mean_top1, parent, Limits().max_robustness_drop),
        as_fast(took[CANDIDATE], took[PARENT], parent, trial.max_slowdown),
    ]
    return checks, {
        MEAN_TOP1: round(robust[CANDIDATE].mean_top1, 5),
        PROTOCOL: robust[CANDIDATE].protocol,
        COMPARED: f"{parent}, which has {robust[PARENT].mean_top1:.5f}",
        "latency_1_thread_ms": round(took[CANDIDATE], 3),
        "parent_latency_1_thread_ms": round(took[PARENT], 3),
    }


def _records(trial: Trial, plain: Pictures) -> list[Record]:
    """Returns the photographs, labelled by the parent."""
    classes = logits(trial.original, plain, precision="f32").argmax(axis=1)
    files = photographs(trial.folder)
    return [Record(path.name, path.read_bytes(), int(label), "") for path, label in zip(files, classes, strict=True)]


def _golden(trial: Trial) -> bytes:
    """Returns golden predictions of small copies of the photographs."""
    side_px = round(max(trial.recipe.width, trial.recipe.height) / trial.recipe.crop)
    records = [Record(path.name, small(path, side_px), 0, "") for path in photographs(trial.folder)]
    answers = compiled(trial.candidate)(decode(records, trial.recipe))
    rows = choose(answers)
    return render([records[row] for row in rows], answers[rows])
