"""Shows experiments on a terminal: tables, and ranges as bars around zero."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from triptych.cli.experiment_words import (
    BAD_WORDS,
    GOOD_WORDS,
    age,
    audience_of,
    clock,
    margin_of,
    percent,
    points,
    ramp_of,
    scale_of,
    shares,
    split_of,
    standing,
    state_of,
)

if TYPE_CHECKING:
    from triptych.experiments.v1.experiment_pb2 import Decision, Experiment, Finding, Rules, Verdict

STATE_STYLES = {"draft": "dim", "running": "bold green", "ramping": "bold cyan", "stopped": "bold yellow"}
ADVICE_STYLES = {"promote": "bold green", "roll back": "bold red", "repair": "bold yellow"}
HALF, WIDE = 14, 116
"""Characters of a bar on each side of zero, on screens so wide."""
NARROW_HALF, BARRED = 7, 78
"""The same on others; on those that are narrower still there are no bars."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Is all that a screen tells of one experiment."""

    experiment: "Experiment"
    verdicts: "Sequence[Verdict]" = ()
    decisions: "Sequence[Decision]" = ()
    """The newest first."""


def as_json(message: Any) -> dict[str, Any]:
    """Returns a message as the gateway's HTTP side writes it."""
    from google.protobuf import json_format

    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def table_of(experiments: "Sequence[Experiment]") -> Table:
    """Returns a list of experiments."""
    from rich import box

    now = datetime.now(UTC)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("name", "model", "state", "split", "made"):
        table.add_column(name, overflow="fold")
    for each in experiments:
        state = state_of(each)
        table.add_row(
            Text(each.name, "bold"),
            Text(each.model),
            Text(state, STATE_STYLES.get(state, "")),
            Text(split_of(each)),
            Text(age(each.create_time, now), "dim"),
        )
    return table


def view(standing_: Standing, now: datetime, *, decisions: int = 5) -> RenderableType:
    """Returns everything about one experiment.

    Args:
        standing_: what is known.
        now: the time.
        decisions: most entries of the log to show.
    """
    blank = Text()
    parts: list[RenderableType] = [*_head(standing_, now), blank, _arms(standing_)]
    for verdict in standing_.verdicts:
        parts += [blank, *_verdict(verdict, standing_.experiment.rules)]
    shown = list(standing_.decisions[:decisions])
    if shown:
        parts += [blank, *(decision_line(each) for each in shown)]
    return Group(*parts)


def _head(standing_: Standing, now: datetime) -> Iterator[Text]:
    experiment = standing_.experiment
    state = state_of(experiment)
    yield Text.assemble(
        (experiment.name, "bold"),
        f"  {experiment.model}  ",
        (standing(experiment, now), STATE_STYLES.get(state, "bold")),
    )
    for line in (experiment.description, audience_of(experiment), ramp_of(experiment)):
        if line:
            yield Text(line, "dim")
    if experiment.detail and all(each.sentence != experiment.detail for each in standing_.verdicts):
        yield Text(experiment.detail)


def _arms(standing_: Standing) -> Table:
    table = Table(box=None, pad_edge=False, show_header=True, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("", "version", "split", "keys"):
        table.add_column(name, justify="left" if not name else "right")
    experiment, keys = standing_.experiment, keys_of(standing_)
    for place, (arm, share) in enumerate(zip(experiment.arms, shares(experiment).values(), strict=True)):
        role = " (control)" if place == 0 and arm.name != "control" else ""
        dealt = f"{keys[arm.name]:,}" if arm.name in keys else "-"
        table.add_row(f"{arm.name}{role}", arm.version, percent(share) if share else "out", dealt)
    for shadow in experiment.shadows:
        table.add_row(f"{shadow.name} (shadow)", shadow.version, f"sees {percent(shadow.share)}", "-")
    return table


def keys_of(standing_: Standing) -> dict[str, int]:
    """Returns the keys that each arm was dealt, where a verdict says so."""
    arms = {arm.name for arm in standing_.experiment.arms}
    found = {each.candidate: each.candidate_keys for each in standing_.verdicts if each.candidate in arms}
    if standing_.verdicts:
        found[standing_.experiment.arms[0].name] = max(each.control_keys for each in standing_.verdicts)
    return found


def _verdict(verdict: "Verdict", rules: "Rules") -> Iterator[RenderableType]:
    advice = Text(verdict.advice, ADVICE_STYLES.get(verdict.advice, "bold"))
    yield Text.assemble((verdict.candidate, "bold"), ": ", advice)
    yield Text(verdict.sentence)
    if verdict.findings:
        yield Findings(verdict, rules)


@dataclass(frozen=True, slots=True)
class Findings:
    """Is the table of what each metric says; on a narrow screen names take two lines, and bars are short, or none."""

    verdict: "Verdict"
    rules: "Rules"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide, barred = options.max_width >= WIDE, options.max_width >= BARRED
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2 if wide else 1, 0, 0))
        table.add_column(min_width=29 if wide else 12)
        columns: list[tuple[int | None, bool]] = [(13, False), (6, True), (16, True), (None, True)]
        if barred:
            columns.insert(1, (None, False))
        for width, right in columns:
            table.add_column(justify="right" if right else "left", no_wrap=True, min_width=width)
        half = HALF if wide else NARROW_HALF if barred else 0
        for each in self.verdict.findings:
            table.add_row(*_finding(each, margin_of(each, self.rules), half))
        yield table


def _finding(finding: "Finding", margin: float, half: int) -> Iterator[Text]:
    style = word_style(finding.word)
    yield Text(finding.metric)
    yield Text(finding.word, style)
    if half:
        yield Text(bar(finding, margin, scale_of(finding, margin), half), style)
    yield Text(points(finding.estimate), "bold")
    yield Text(f"{points(finding.low)} to {points(finding.high)}")
    yield Text(f"{finding.events:,}", "dim")


def word_style(word: str) -> str:
    """Returns the colour of a finding's word."""
    return "green" if word in GOOD_WORDS else "red" if word in BAD_WORDS else "dim"


def bar(finding: "Finding", margin: float, scale: float, half: int = HALF) -> str:
    """Draws a range on a line around zero, with the margin: `····┊·├──┼──●──┤······`.

    Args:
        finding: what to draw.
        margin: how bad it may become; it stands as `┊`.
        scale: difference at the ends of the line; what leads beyond ends in an arrow.
        half: characters on each side of zero.
    """

    def place(value: float) -> int:
        return half + round(max(-1.0, min(1.0, value / scale)) * half)

    low, high = place(finding.low), place(finding.high)
    line = ["·"] * (2 * half + 1)
    line[low : high + 1] = "─" * (high - low + 1)
    line[half] = "┼" if low < half < high else "│"
    line[place(margin)] = "┊"
    line[low] = "◀" if finding.low < -scale else "├"
    line[high] = "▶" if finding.high > scale else "┤"
    line[place(finding.estimate)] = "●"
    return "".join(line)


def decision_line(decision: "Decision", *, timed: bool = True) -> Text:
    """Returns an entry of the log as one line."""
    return Text.assemble(
        (f"{clock(decision.time)}  " if timed else "", "dim"),
        (decision.action, "bold"),
        f" by {decision.actor or 'somebody'}",
        f": {decision.reason}" if decision.reason else "",
    )
