"""The goals of a report: each is a ratio within a round, and is met or not."""

import pytest

from benchmarks.report.claims import Claim, claims
from benchmarks.report.measurement import APART, BEST, COLOCATED, Measurement, Round
from benchmarks.report.page import render

pytestmark = pytest.mark.unit

RIVALS = ("fastapi", "triton", "kserve")


def _measured(system: str, rate: float, cpu_ms: float, load: str = "16") -> Measurement:
    return Measurement(system, "http", load, rate, 10.0, 20.0, {"server": cpu_ms, "generator": 0.5})


ROUND = Round(
    limit_rate=250,
    limit_cpu_ms=8,
    bare_p50_ms=8,
    measurements=[
        _measured(APART, 200, 9),
        _measured(COLOCATED, 240, 7),
        _measured(BEST, 300, 6),
        _measured("fastapi", 250, 7.5),
        _measured("triton", 190, 10),
        _measured("triton", 160, 1, load="1"),
        _measured("kserve", 100, 8),
    ],
)


def _found(*rounds: Round) -> dict[str, Claim]:
    return {claim.text: claim for claim in claims(rounds, RIVALS)}


def test_services_apart_are_held_against_rivals_that_split_the_work() -> None:
    """Throughput against the fastest of them, CPU against the thriftiest, each at its best load."""
    found = _found(ROUND)
    rate = Claim("Triptych, apart, http: throughput / fastest splitting rival's", 200 / 190, 1, at_least=True)
    cpu = Claim("Triptych, apart, http: server CPU / thriftiest splitting rival's", 9 / 8, 1, at_least=False)
    assert (rate, True) == (found[rate.text], rate.met)
    assert (cpu, False) == (found[cpu.text], cpu.met)


@pytest.mark.parametrize(("name", "rate", "cpu_ms"), [(COLOCATED, 240, 7), (BEST, 300, 6)])
def test_one_process_is_held_against_every_rival(name: str, rate: float, cpu_ms: float) -> None:
    """Co-located and best have to be ahead of all rivals of the run, in both figures."""
    found = _found(ROUND)
    assert rate / 250 == found[f"{name}, http: throughput / fastest rival's"].figure
    assert cpu_ms / 7.5 == found[f"{name}, http: server CPU / thriftiest rival's"].figure


def test_a_figure_is_the_median_of_the_rounds() -> None:
    """A ratio is taken within each round, so that a slow minute slows both sides of it."""
    faster = [
        Round(250, 8, 8, [_measured(APART, rate, 9), _measured("triton", slow, 10)])
        for rate, slow in ((100, 50), (90, 100))
    ]
    assert 200 / 190 == _found(ROUND, *faster)["Triptych, apart, http: throughput / fastest splitting rival's"].figure


def test_without_rivals_nothing_is_claimed_about_them() -> None:
    """A run of Triptych alone tells of itself only."""
    alone = Round(250, 8, 8, [_measured(APART, 200, 9), _measured(COLOCATED, 200, 9)])
    assert not [claim.text for claim in claims([alone], ()) if "rival" in claim.text]


def test_goals_are_printed_as_met_or_not() -> None:
    """Each is a row of the report."""
    rest = [Measurement(name, "", "rest", 0, 0, 0, {}) for name in (APART, COLOCATED, BEST, *RIVALS)]
    rows = render([Round(250, 8, 8, [*rest, *ROUND.measurements])], claims([ROUND], RIVALS), {}, ()).splitlines()
    assert "| Triptych, apart, http: throughput / fastest splitting rival's | 1.05 | >= 1 | yes |" in rows
    assert "| Triptych, co-located, http: throughput / fastest rival's | 0.96 | >= 1 | **no** |" in rows
