"""Experiments on a screen and in words: bars, scales, splits, and what counts as a change."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console, RenderableType

from triptych.cli.experiment_view import Standing, bar, view
from triptych.cli.experiment_watch import Lines, changes
from triptych.cli.experiment_words import audience_of, duration, margin_of, ramp_of, scale_of, split_of
from triptych.experiments.v1.experiment_pb2 import (
    EXPERIMENT_STATE_RAMPING,
    Arm,
    Audience,
    Decision,
    Experiment,
    Finding,
    Ramp,
    Rules,
    Shadow,
    Verdict,
)

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
RULES = Rules(accuracy_margin=0.01, slow_margin=0.02, failed_margin=0.002)
ARMS = (Arm(name="control", version="1", weight=95), Arm(name="b", version="2", weight=5))


def experiment(**changes: Any) -> Experiment:
    """Returns an experiment that grows, and has for an hour."""
    values: dict[str, Any] = {
        "name": "rate",
        "model": "lite",
        "arms": ARMS,
        "shadows": [Shadow(name="c", version="3", share=0.2)],
        "rules": RULES,
        "state": EXPERIMENT_STATE_RAMPING,
        "epoch": 2,
        "step": 1,
        "ramp": Ramp(steps=[0.01, 0.05], hold_s=600, min_keys=100),
    }
    made = Experiment(**{**values, **changes})
    made.start_time.FromDatetime(NOW - timedelta(hours=1))
    return made


def finding(metric: str = "accuracy", **changes: Any) -> Finding:
    """Returns what a metric says."""
    values: dict[str, Any] = {"estimate": 0.0, "low": -0.02, "high": 0.02, "events": 1234, "word": "open"}
    return Finding(metric=metric, **{**values, **changes})


def verdict(
    *findings: Finding, advice: str = "go on", sentence: str = "Nothing is certain of b yet; go on."
) -> Verdict:
    """Returns a verdict about b."""
    return Verdict(
        candidate="b", advice=advice, sentence=sentence, findings=findings, control_keys=950, candidate_keys=50
    )


def drawn(what: RenderableType, width: int = 120) -> str:
    """Returns what a screen of this width shows."""
    console = Console(width=width, height=60, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"estimate": 0.01, "low": -0.01, "high": 0.03}, "··┊├┼●─┤·"),
        ({"estimate": 0.0, "low": -1.0, "high": 1.0}, "◀─┊─●───▶"),
        ({"estimate": -0.03, "low": -0.035, "high": -0.02}, "├●┤·│····"),
    ],
)
def test_a_range_is_drawn_around_zero(values: dict[str, Any], expected: str) -> None:
    """The line has zero in the middle, the margin, the range with its ends, and arrows where it leads beyond."""
    assert expected == bar(finding(**values), margin=-0.02, scale=0.04, half=4)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("accuracy", -0.01), ("late answers", 0.02), ("failures", 0.002), ("disagreement", 0.01)],
)
def test_the_margin_stands_on_the_bad_side(metric: str, expected: float) -> None:
    """Less accuracy is bad, and more of anything else."""
    assert expected == pytest.approx(margin_of(finding(metric), RULES))


@pytest.mark.parametrize(("high", "expected"), [(0.02, 0.05), (0.07, 0.1), (0.12, 0.2), (0.9, 1.0), (1.0, 1.0)])
def test_scales_are_round_and_hold_the_range(high: float, expected: float) -> None:
    """A scale is 1, 2 or 5 points, or tenfold of them, and holds at least four margins."""
    assert expected == pytest.approx(scale_of(finding(high=high), 0.01))


def test_an_experiment_in_words() -> None:
    """Split, ramp and audience are told in a few words."""
    found = experiment(audience=Audience(tenants=["acme"], headers={"x-app": "beta"}), layer="ui", slot_end=0.5)
    assert "control 95 %, b 5 %, shadow c 20 %" == split_of(found)
    assert "ramp: step 2 of 2; 1 % → 5 %, each for at least 10 min and 100 keys" == ramp_of(found)
    assert "only tenants acme; x-app: beta; keys 0 % to 50 % of layer ui" == audience_of(found)
    assert ("", "") == (ramp_of(experiment(ramp=None)), audience_of(experiment(slot_end=1.0)))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(7, "7 s"), (90, "1 min 30 s"), (720, "12 min"), (18600, "5 h 10 min"), (3600, "1 h"), (273600, "3 d 4 h")],
)
def test_lengths_of_time(seconds: float, expected: str) -> None:
    """Two units at most, and none that says nothing."""
    assert expected == duration(seconds)


def test_a_screen_tells_everything() -> None:
    """State, split, keys, verdicts with their ranges, and what was done."""
    decision = Decision(id=1, action="start", actor="ann", reason="it is time")
    standing = Standing(experiment(), [verdict(finding(), finding("failures", word="within bounds"))], [decision])
    shown = drawn(view(standing, NOW))
    for said in (
        "ramping for 1 h, epoch 2",
        "95 %",
        "950",
        "b: go on",
        "within bounds",
        "┊",
        "start by ann: it is time",
    ):
        assert said in shown, said


@pytest.mark.parametrize("width", [64, 80, 100, 120])
def test_a_screen_fits(width: int) -> None:
    """On a narrow terminal nothing is cut off."""
    long = finding("accuracy on the same pictures", low=-1.0, high=1.0, events=12_345_678, word="within bounds")
    shown = drawn(view(Standing(experiment(), [verdict(long)]), NOW), width)
    assert ("12,345,678" in shown, "-100.00 to +100.00" in shown, "…" in shown) == (True, True, False)


def test_changes_are_lines() -> None:
    """At first everything is told, then only what is otherwise: a verdict's word, or what was done."""
    first = Standing(experiment(), [verdict(finding())], [Decision(id=1, action="start", actor="ann")])
    more = Standing(experiment(), [verdict(finding(events=9999))], first.decisions)
    decisions = [Decision(id=2, action="roll back", actor="rule", reason="too slow"), *first.decisions]
    bad = verdict(finding(word="worse"), advice="roll back", sentence="b is worse; roll it back.")
    assert ["rate ramping", "Nothing is c", "start by ann"] == [str(line)[:12] for line in changes(None, first)]
    assert [] == list(changes(first, more))
    assert ["b is worse; roll it back.", "roll back by rule: too slow"] == [
        str(line) for line in changes(more, Standing(experiment(), [bad], decisions))
    ]


def test_trouble_is_told_once() -> None:
    """A gateway that is away for long is one line, and one when it is back."""
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        lines = Lines(console)
        for message in ("No answer.", "No answer.", "", ""):
            lines.trouble(message)
    assert ["No answer.", "There is an answer again."] == [each[10:] for each in captured.get().splitlines()]
