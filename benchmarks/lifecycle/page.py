"""The report of a life cycle as Markdown."""

from collections.abc import Iterator, Sequence
from statistics import mean
from typing import Any

from benchmarks.lifecycle.chain import AWARE, FINAL, PRUNED, TEACHER, WIDE
from benchmarks.lifecycle.figures import PTQ, Lifecycle, Quantised, goals
from benchmarks.lifecycle.shell import Done
from benchmarks.workload import ROOT
from modelkit.release.gates import PROTOCOL

_MADE = {
    TEACHER: "trained",
    WIDE: "taught by the served teacher",
    PRUNED: "pruned from the wide student, in steps, taught",
    PTQ: "the pruned one in INT8, calibrated only",
    AWARE: "the pruned one, trained on with INT8's rounding",
    FINAL: "the one above, in INT8",
}


def render(found: Lifecycle, refusal: str, commands: Sequence[Done], about: dict[str, str]) -> str:
    """Returns the page: goals, runs, what the cluster did, commands."""
    parts = [
        "<!-- Written by `python -m benchmarks.lifecycle`. -->\n",
        *(f"- {name}: {value}" for name, value in about.items()),
        "\n## Goals\n\n| what | figure | goal | met |\n| --- | --- | --- | --- |",
        *_goals(found),
        "\n## Runs\n\n| run | made | top-1 | million multiply-accumulates | parameters | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
        *_runs(found),
        "\n## Judged\n",
        *_judged(found),
        "\n## Served\n",
        *_served(found),
        f"\nA student that learned alone, offered as the teacher's next version:\n\n```\n{refusal.strip()}\n```",
        "\n## EfficientNet-Lite0 in INT8\n",
        *_lite0(found.served.lite0),
        "\n## Commands\n\n| seconds | command |\n| --- | --- |",
        *(f"| {done.seconds:.0f} | `{done.command}` |" for done in commands),
    ]
    return "\n".join(parts) + "\n"


def _goals(found: Lifecycle) -> Iterator[str]:
    for goal in goals(found):
        sign, met = (">=" if goal.at_least else "<="), ("yes" if goal.met else "**no**")
        figure = f"{goal.figure:,}" if isinstance(goal.figure, int) else f"{goal.figure:.2f}"
        yield f"| {goal.text} | {figure}{goal.unit} | {sign} {goal.goal:,g}{goal.unit} | {met} |"


def _runs(found: Lifecycle) -> Iterator[str]:
    yield _row(found, TEACHER, _MADE[TEACHER])
    for name, made in (("alone", "the student, trained"), ("distil", "the student, taught by the served teacher")):
        for seed in found.seeds:
            yield _row(found, f"{name}_{seed}", made)
        mean, spread = found.mean_and_spread(name)
        yield f"| {name}, mean and deviation | | {mean:.2%} +- {100 * spread:.2f} | | | |"
    for name, made in _MADE.items():
        if name != TEACHER:
            yield _row(found, name, made)


def _row(found: Lifecycle, name: str, made: str) -> str:
    result = found.results[name]
    seconds = f"{result['seconds']:.0f}" if "seconds" in result else ""
    size = f"{result['macs'] / 1e6:.2f} | {result['parameters']:,}"
    return f"| {name} | {made} | {found.top1(name):.2%} | {size} | {seconds} |"


def _judged(found: Lifecycle) -> Iterator[str]:
    yield "| `triptych model evaluate` | " + " | ".join(found.evaluations) + " |"
    yield "| --- |" + " --- |" * len(found.evaluations)
    columns = [_evaluated(each) for each in found.evaluations.values()]
    for what in columns[0]:
        yield f"| {what} | " + " | ".join(column[what] for column in columns) + " |"


def _evaluated(evaluation: dict[str, Any]) -> dict[str, str]:
    accuracy, calibration, robust = (evaluation[part] for part in ("accuracy", "calibration", "robustness"))
    before, after = calibration["ece"]
    spoilt = {name: mean(by_severity) for name, by_severity in robust["corruptions"].items()}
    return {
        "top-1, top-5": f"{accuracy['top1']:.2%}, {accuracy['top5']:.2%}",
        "expected calibration error, without and with its temperature": f"{before:.4f}, {after:.4f}",
        "temperature": f"{evaluation['temperature']:.3f}",
        f"top-1 of {robust['pictures']} pictures": f"{robust['clean_top1']:.1%}",
        f"the same under {len(spoilt)} corruptions, mean": f"{robust['mean_top1']:.1%}",
        **{name.replace("_", " "): f"{top1:.1%}" for name, top1 in spoilt.items()},
    }


def _lite0(lite0: Quantised) -> Iterator[str]:
    sizes = " | ".join(f"in batches of {size}" for size in next(iter(lite0.throughput.values())))
    yield f"| images per second through Triton | {sizes} |"
    yield "| --- |" + " --- |" * len(next(iter(lite0.throughput.values())))
    for version, rates in lite0.throughput.items():
        yield f"| version {version} | " + " | ".join(f"{rate:,.1f}" for rate in rates.values()) + " |"
    yield f"\nThrough the gateway {lite0.alike} of {lite0.photographs} photographs have the same first class in both.\n"
    yield "| what its gates measured | |\n| --- | --- |"
    for name, value in lite0.said.items():
        if name != PROTOCOL:
            yield f"| {name} | {value} |".replace(f"{ROOT}/", "")


def _served(found: Lifecycle) -> Iterator[str]:
    served = found.served
    answers = served.student
    sizes = " | ".join(f"in batches of {size}" for size in served.throughput[FINAL])
    yield f"| images per second through Triton | {sizes} |"
    yield "| --- |" + " --- |" * len(served.throughput[FINAL])
    for name, rates in served.throughput.items():
        yield f"| {name} | " + " | ".join(f"{rate:,.0f}" for rate in rates.values()) + " |"
    yield (
        f"\nThrough the gateway the final student has {answers.top1:.2%} of {len(answers.truth):,} pictures "
        f"right, in {answers.seconds:.1f} s; {answers.agreement:,} of its first classes are those of the same file "
        f"in a process of its own. EfficientNet-Lite0 beside it sees a {served.photographs[1]} in "
        f"`examples/chelsea.png`, before that a {served.photographs[0]}. The teacher's live version is "
        f"{served.live[1]} after a worse one was offered, {served.live[0]} before."
    )
