"""`triptych experiment report`: an experiment as Markdown, with plots beside it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triptych.cli import plots
from triptych.cli.connection import Connection, connected
from triptych.cli.experiment_options import Name
from triptych.cli.experiment_view import Standing, keys_of
from triptych.cli.experiment_words import (
    audience_of,
    duration,
    margin_of,
    moment,
    percent,
    points,
    ramp_of,
    shares,
    state_of,
)
from triptych.cli.output import fail, out

if TYPE_CHECKING:
    from triptych.experiments.v1.experiment_pb2 import Decision, Experiment, Rules, Verdict

REPORT = "report.md"
KEYS = "keys.svg"


@connected
def report(
    connection: Connection,
    name: Name,
    folder: Annotated[
        Path,
        typer.Option("--out", metavar="FOLDER", help=f"Where to write {REPORT} and its plots.", show_default=False),
    ],
) -> None:
    """Writes a report as Markdown: what was compared, what came of it, ranges over time, and what was done and why."""
    from triptych.cli.experiment_calls import Experiments

    with connection.line() as line:
        experiments = Experiments(line, connection.timeout_s)
        found = Standing(experiments.get(name), experiments.verdicts(name), list(experiments.decisions(name)))
        history = experiments.history(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files(found, history).items():
            (folder / file).write_text(text)
    except OSError as error:
        fail(f"{error.filename or folder} cannot be written: {error.strerror}.")
    out().print(f"The report is {folder / REPORT}.", markup=False, soft_wrap=True)


def files(found: Standing, history: "Sequence[Verdict]") -> dict[str, str]:
    """Returns the report and its plots: the text of each file by its name."""
    pictures = {KEYS: keys_plot(found.experiment, history), **metric_plots(found.experiment, history)}
    drawn = {name: text for name, text in pictures.items() if text}
    return {REPORT: "\n".join(_lines(found, list(drawn))) + "\n", **drawn}


def keys_plot(experiment: "Experiment", history: "Sequence[Verdict]") -> str:
    """Draws which part of the keys each candidate was dealt; empty without candidates, or before anything is known."""
    arms = {arm.name for arm in experiment.arms}
    series: dict[str, list[plots.Point]] = {}
    for each in history:
        dealt = each.control_keys + each.candidate_keys
        if each.candidate in arms and dealt:
            place = (_since(experiment, each.time), 100 * each.candidate_keys / dealt)
            series.setdefault(each.candidate, []).append(place)
    return plots.lines("Keys that candidates were dealt, of theirs and the control's", series) if series else ""


def metric_plots(experiment: "Experiment", history: "Sequence[Verdict]") -> dict[str, str]:
    """Draws the range of each metric of each candidate over time; returns the pictures by the name of their file."""
    found: dict[tuple[str, str], list[tuple[int, plots.Range]]] = {}
    margins: dict[tuple[str, str], float] = {}
    for verdict in history:
        for each in verdict.findings:
            key = (verdict.candidate, each.metric)
            values = (100 * each.low, 100 * each.estimate, 100 * each.high)
            time_s = _since(experiment, verdict.time)
            found.setdefault(key, []).append((verdict.epoch, plots.Range(time_s, *values)))
            margins[key] = 100 * margin_of(each, experiment.rules)
    return {
        _file(candidate, metric): plots.ranges(f"{candidate}: {metric}", _runs(line), margins[candidate, metric])
        for (candidate, metric), line in found.items()
    }


def _runs(line: list[tuple[int, plots.Range]]) -> list[list[plots.Range]]:
    return [[value for _, value in run] for _, run in groupby(line, key=lambda pair: pair[0])]


def _since(experiment: "Experiment", time: Any) -> float:
    return max(0.0, (moment(time) - moment(experiment.start_time)).total_seconds())


def _file(candidate: str, metric: str) -> str:
    return f"{candidate}-{metric.replace(' ', '-')}.svg"


def _lines(found: Standing, pictures: Sequence[str]) -> Iterator[str]:
    experiment = found.experiment
    yield f"# Experiment `{experiment.name}`"
    yield ""
    yield from _summary(experiment)
    yield from ("", "## Versions", "", *_versions(found))
    if KEYS in pictures:
        yield from ("", f"![Keys dealt to candidates]({KEYS})")
    yield from ("", "## Rules", "", *_rules(experiment.rules))
    for verdict in found.verdicts:
        yield from ("", f"## {verdict.candidate}: {verdict.advice}", "", *_verdict(verdict, pictures))
    yield from ("", "## What was done", "", *(map(_decision, reversed(found.decisions))))


def _summary(experiment: "Experiment") -> Iterator[str]:
    times = [("made", "create_time"), ("started", "start_time"), ("ended", "end_time")]
    told = [f"{word} {_utc(getattr(experiment, field))}" for word, field in times if experiment.HasField(field)]
    yield f"Model `{experiment.model}`; **{state_of(experiment)}**; {', '.join(told)}."
    if experiment.HasField("start_time") and experiment.HasField("end_time"):
        yield f"It ran for {duration((moment(experiment.end_time) - moment(experiment.start_time)).total_seconds())}."
    for line in (experiment.description, experiment.detail, ramp_of(experiment), audience_of(experiment)):
        if line:
            yield from ("", plain(line))


def _versions(found: Standing) -> Iterator[str]:
    yield "| name | version | part of the keys | keys |"
    yield "|---|---|---|---|"
    experiment, keys = found.experiment, keys_of(found)
    for place, (arm, share) in enumerate(zip(experiment.arms, shares(experiment).values(), strict=True)):
        role = ", the control" if place == 0 and arm.name != "control" else ""
        dealt = f"{keys[arm.name]:,}" if arm.name in keys else ""
        yield f"| {arm.name}{role} | {arm.version} | {percent(share) if share else 'out'} | {dealt} |"
    for shadow in experiment.shadows:
        yield f"| {shadow.name}, a shadow | {shadow.version} | sees {percent(shadow.share)} of the requests | |"


def _rules(rules: "Rules") -> Iterator[str]:
    yield f"- Any wrong verdict has a probability of at most {percent(rules.alpha)}."
    yield f"- Accuracy may fall by {_points(rules.accuracy_margin)}."
    if rules.HasField("slow_ms"):  # else there are shadows only, for which nobody waits
        slow = f"The part of answers that take longer than {rules.slow_ms:g} ms"
        yield f"- {slow} may rise by {_points(rules.slow_margin)}."
    yield f"- The part of requests that fail may rise by {_points(rules.failed_margin)}."
    yield "- What is surely bad is left in place." if rules.no_rollback else "- What is surely bad is rolled back."
    enough = "better or no worse" if rules.promote_no_worse else "better"
    yield f"- What is surely {enough} is promoted{'.' if rules.auto_promote else ' when somebody says so.'}"
    if rules.stop_after_s:
        yield f"- It is stopped {duration(rules.stop_after_s)} after its start, whatever is known."


def _points(margin: float) -> str:
    return f"{100 * margin:g} point{'' if abs(100 * margin - 1) < 1e-9 else 's'}"


def _verdict(verdict: "Verdict", pictures: Sequence[str]) -> Iterator[str]:
    yield plain(verdict.sentence)
    if verdict.findings:
        yield from (
            "",
            "| metric | it is | difference in points | surely between | counted from |",
            "|---|---|---|---|---|",
        )
    for each in verdict.findings:
        span = f"{points(each.low)} and {points(each.high)}"
        yield f"| {each.metric} | {each.word} | {points(each.estimate)} | {span} | {each.events:,} |"
    names = (_file(verdict.candidate, each.metric) for each in verdict.findings)
    yield from _shown(name for name in names if name in pictures)
    if verdict.findings:
        yield from ("", "The band is the range that surely holds the truth; the dashed line is what the rules allow.")


def _shown(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from ("", f"![{name.removesuffix('.svg')}]({name})")


def _decision(decision: "Decision") -> str:
    who = decision.actor or "somebody"
    why = f": {plain(decision.reason)}" if decision.reason else ""
    return f"- {_utc(decision.time)}, **{decision.action}** by {plain(who)}{why}"


def _utc(time: Any) -> str:
    return f"{moment(time):%Y-%m-%d %H:%M:%S} UTC"


def plain(text: str) -> str:
    """Returns text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))
