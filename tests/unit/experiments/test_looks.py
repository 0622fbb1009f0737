"""Simulated experiments: looks in arrays say what `judge` says, and verdicts are wrong no oftener than promised."""

import math
from functools import partial

import numpy as np
import pytest
from scipy import stats as scipy_stats

from benchmarks.verdicts import errors, faults, theory
from benchmarks.verdicts.errors import CASES, INTERVALS, Case
from benchmarks.verdicts.looks import Judge, Track, part
from benchmarks.verdicts.worlds import (
    Shadowing,
    Truth,
    World,
    bursts,
    delayed,
    independent,
    shadow_track,
    sticky,
    tracks,
)
from services.experiments.verdicts import Advice, Rules, judge

ALPHA = 0.05
EXPERIMENTS = 200
LOOKS = 3000
MOST = int(scipy_stats.binom.ppf(0.999, EXPERIMENTS, ALPHA))
"""Wrong ones of so many experiments: what alpha gives once in a thousand such tests."""
BAD = Truth(slow=(0.05, 0.6), failed=(0.02, 0.2), correct=(0.95, 0.3), labelled=0.8)
GOOD = Truth(slow=(0.0, 0.0), failed=(0.0, 0.0), correct=(0.3, 0.9), labelled=1.0, weights=(1, 3))


def _seen(track: Track, rules: Rules) -> dict[str, float]:
    """Returns when each advice was first given by `judge`, look by look."""
    firsts = {"roll_back": math.inf, "promote": math.inf, "repair": math.inf}
    for look in range(track.looks):
        advice = judge(track.facts(look), rules).advice
        name = {Advice.ROLL_BACK: "roll_back", Advice.PROMOTE: "promote", Advice.REPAIR: "repair"}.get(advice)
        if name is not None:
            firsts[name] = min(firsts[name], look)
    return firsts


def _same(track: Track, rules: Rules) -> dict[str, float]:
    firsts = Judge(rules).firsts(track)
    found = {"roll_back": firsts.roll_back, "promote": firsts.promote, "repair": firsts.repair}
    assert _seen(track, rules) == found
    return found


@pytest.mark.parametrize("world", [independent, delayed, bursts, sticky])
def test_looks_in_arrays_say_what_judge_says_event_by_event(world: World) -> None:
    """For each way in which keys come; one that is bad enough to be rolled back on the way."""
    track = tracks(world(BAD, 60, np.random.default_rng(5)), BAD)[0]
    assert _same(track, Rules(alpha=0.2))["roll_back"] < math.inf


def test_they_do_so_where_a_candidate_is_promoted() -> None:
    """Better, and its guardrails are certain; looked at now and then, since that takes many events."""
    track = part(tracks(independent(GOOD, 6000, np.random.default_rng(3)), GOOD)[0], slice(None, None, 150))
    rules = Rules(weights=(1, 3), failed_margin=0.02, candidates=2)
    assert _same(track, rules)["promote"] < math.inf


def test_they_do_so_where_keys_are_dealt_wrongly() -> None:
    """Nothing else is said then."""
    track = part(tracks(independent(GOOD, 600, np.random.default_rng(3)), GOOD)[0], slice(None, None, 20))
    assert _same(track, Rules())["repair"] < math.inf


@pytest.mark.parametrize(
    ("shadow", "advice"),
    [
        (Shadowing(difference=-0.3, discordant=0.4), "roll_back"),
        (Shadowing(difference=0.2, discordant=0.3), "promote"),
        (Shadowing(discordant=0.0, labelled=0.1), "promote"),
        (Shadowing(discordant=0.4, labelled=0.1, failed=0.1), "roll_back"),
    ],
)
def test_they_do_so_for_shadows(shadow: Shadowing, advice: str) -> None:
    """By pairs, worse and better, by disagreement with few labels, and by failures."""
    track = shadow_track(shadow, 600, np.random.default_rng(7))
    rules = Rules(promote=frozenset({"better", "no worse"}))
    assert _same(track, rules)[advice] < math.inf


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdicts_are_wrong_no_oftener_than_promised_though_one_looks_after_every_event(case: Case) -> None:
    """Candidates that are as good as the control, and such as are as bad as is allowed."""
    firsts = [errors.run(case, ALPHA, LOOKS, seed) for seed in range(EXPERIMENTS)]
    for advice in case.wrong:
        assert sum(getattr(first, advice) < math.inf for first in firsts) <= MOST, advice
    assert sum(first.repair < math.inf for first in firsts) <= 3


@pytest.mark.parametrize("name", INTERVALS)
def test_intervals_hold_the_truth_after_every_event_as_often_as_promised(name: str) -> None:
    """Of each kind."""
    assert sum(not errors.held(name, ALPHA, LOOKS, seed) for seed in range(EXPERIMENTS)) <= MOST


def test_the_simulation_would_notice() -> None:
    """A test that may be looked at once, looked at after every event, rolls back too often at the margin."""
    truth = Truth(slow=(0.1, 0.12), labelled=0)
    limit = scipy_stats.norm.isf(ALPHA)

    def rolled_back(seed: int) -> bool:
        before, after = tracks(independent(truth, LOOKS, np.random.default_rng(seed)), truth)[0].slow
        variance = sum(each.share * (1 - each.share) / np.maximum(each.total, 1) for each in (before, after))
        scores = (after.share - before.share - 0.02) / np.sqrt(np.maximum(variance, 1e-9))
        return bool((scores[200:] > limit).any())

    assert sum(map(rolled_back, range(EXPERIMENTS))) > MOST


def test_requests_of_sticky_keys_are_no_evidence_one_by_one() -> None:
    """They look like a fault of the dealing: why keys are counted."""
    firsts = [errors.run(errors.BY_REQUEST, ALPHA, LOOKS, seed) for seed in range(20)]
    assert sum(first.repair < math.inf for first in firsts) > 10


@pytest.mark.parametrize(
    ("name", "half"),
    [
        ("10 points more late", 580),
        ("1 point more failures", 6_500),
        ("2 points less accurate, all labelled", 65_000),
        ("shadow 2 points worse, 3 % discordant", 3_400),
        ("shadow, 0.1 % disagree, no label: no worse", 660),
    ],
)
def test_half_of_the_faults_are_found_within_what_is_stated(name: str, half: int) -> None:
    """In docs/experiments.md of more of them; an eighth more than the median of these 40."""
    fault = next(each for each in faults.FAULTS if each.name == name)
    found = list(map(partial(faults.found, fault, 0.025), range(40)))
    assert np.median(found) <= half


def test_divergences_are_those_of_the_textbook() -> None:
    """A fair coin against a loaded one; two arms and pairs about the square of the distance over twice the variance."""
    assert theory.rate_divergence(0.5, 0.9) == pytest.approx(0.5 * math.log(0.25 / 0.09))
    assert theory.difference_divergence(0.5, 0.52, 0.0, 0.5) == pytest.approx(0.02**2 / (2 * 4 * 0.25), rel=0.01)
    assert theory.paired_divergence(0.03, 0.05, 0.0) == pytest.approx(0.02**2 / (2 * 0.08), rel=0.05)
    assert theory.at_once(0.05, 0.8, 0.02, 1.0) == pytest.approx(7.849 / 0.02**2, rel=0.001)
