"""Evidence: exact expectations by enumeration, likelihoods against an optimiser, coverage by simulation."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize
from scipy import stats as scipy_stats

from services.experiments import evalues
from services.experiments.evalues import Pairs, Rate

ALPHA = 0.05
COUNTS = st.integers(0, 400)
DIFFERENCES = st.floats(-0.95, 0.95)


def _pairs(total: int) -> Iterator[Pairs]:
    yield from (Pairs(w, lost, total - w - lost) for w in range(total + 1) for lost in range(total + 1 - w))


@pytest.mark.parametrize("null", [0.02, 0.5, 0.9])
@pytest.mark.parametrize("total", [1, 7, 40])
def test_a_rates_e_value_is_1_on_average_if_the_null_is_true(null: float, total: int) -> None:
    """Exactly: over every number of hits. What is 1 on average at each moment exceeds 20 once in 20 runs at most."""
    expected = sum(
        scipy_stats.binom.pmf(hits, total, null) * math.exp(evalues.rate_log_e(Rate(hits, total), null))
        for hits in range(total + 1)
    )
    assert expected == pytest.approx(1)


@pytest.mark.parametrize("rates", [(0.3, 0.3, 0.4), (0.02, 0.12, 0.86), (0.5, 0.1, 0.4)])
@pytest.mark.parametrize("total", [1, 6, 25])
def test_an_e_value_of_pairs_is_1_at_most_on_average_if_the_null_is_true(
    rates: tuple[float, float, float], total: int
) -> None:
    """Whatever the share of ties, of which the null says nothing."""
    null = rates[0] - rates[1]
    expected = sum(
        scipy_stats.multinomial.pmf(pairs, total, rates) * math.exp(evalues.paired_log_e(pairs, null))
        for pairs in _pairs(total)
    )
    assert 0 < expected <= 1 + 1e-9


@pytest.mark.parametrize(("first", "second"), [(0.3, 0.3), (0.05, 0.15), (0.9, 0.4)])
def test_an_e_value_of_a_difference_is_1_at_most_on_average_if_the_null_is_true(first: float, second: float) -> None:
    """Whatever the rates are that differ so; with unequal arms."""
    before, after = 12, 7
    expected = sum(
        scipy_stats.binom.pmf(one, before, first)
        * scipy_stats.binom.pmf(other, after, second)
        * math.exp(evalues.difference_log_e(Rate(one, before), Rate(other, after), second - first))
        for one in range(before + 1)
        for other in range(after + 1)
    )
    assert 0 < expected <= 1 + 1e-9


@given(COUNTS, COUNTS, st.floats(0.01, 0.99))
def test_a_rates_e_value_is_an_integral(hits: int, misses: int, null: float) -> None:
    """Over all rates, with the prior's density: SciPy's numbers."""
    scale = evalues.log_mixture((hits, misses))

    def density(angle: float) -> float:  # of a rate sin(angle)^2 with the prior Beta(1/2, 1/2): uniform in the angle
        likely = evalues.log_likelihood((hits, misses), (math.sin(angle) ** 2, math.cos(angle) ** 2))
        return math.exp(likely - scale) * 2 / math.pi

    peak = math.asin(math.sqrt(Rate(hits, hits + misses).share))
    whole, _ = integrate.quad(density, 0, math.pi / 2, points=[peak], limit=400)
    assert whole == pytest.approx(1, rel=1e-6)
    log_e = evalues.rate_log_e(Rate(hits, hits + misses), null)
    assert log_e == pytest.approx(scale - hits * math.log(null) - misses * math.log(1 - null))


@given(COUNTS, COUNTS, COUNTS, DIFFERENCES)
def test_no_rates_of_pairs_are_likelier_than_those_that_the_null_is_given(
    wins: int, losses: int, ties: int, null: float
) -> None:
    """SciPy's optimiser finds none."""
    pairs = Pairs(wins, losses, ties)

    def unlikely(won: float) -> float:
        return -evalues.log_likelihood(pairs, (won, won - null, 1 + null - 2 * won))

    low, high = max(null, 0.0), (1 + null) / 2
    best = optimize.minimize_scalar(unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-10}).fun
    found = evalues.log_mixture(pairs) - evalues.paired_log_e(pairs, null)
    assert found >= -best - 1e-6 * max(1, abs(best))


@given(COUNTS, COUNTS, COUNTS, COUNTS, DIFFERENCES)
def test_no_rates_of_arms_are_likelier_than_those_that_the_null_is_given(
    hits: int, misses: int, others: int, more: int, null: float
) -> None:
    """The same for two arms."""
    before, after = Rate(hits, hits + misses), Rate(others, others + more)

    def unlikely(rate: float) -> float:
        first = evalues.log_likelihood((hits, misses), (rate, 1 - rate))
        return -first - evalues.log_likelihood((others, more), (rate + null, 1 - rate - null))

    bounds = (max(0.0, -null), min(1.0, 1 - null))
    best = optimize.minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-10}).fun
    mixture = evalues.log_mixture((hits, misses)) + evalues.log_mixture((others, more))
    found = mixture - evalues.difference_log_e(before, after, null)
    assert found >= -best - 1e-6 * max(1, abs(best))


def test_mcnemar_is_the_formula() -> None:
    """Wins and losses alone count: 2^(w + l) B(w + a, l + a) / B(a, a)."""
    log_e = evalues.mcnemar_log_e(Pairs(30, 12, 900))
    beta = math.lgamma(30.5) + math.lgamma(12.5) - math.lgamma(43) - 2 * math.lgamma(0.5)
    assert log_e == pytest.approx(42 * math.log(2) + beta)
    assert evalues.mcnemar_log_e(Pairs(0, 0, 5000)) == pytest.approx(0)


def test_nothing_is_known_of_nothing() -> None:
    """Without events, every interval is the whole range, and no e-value says anything."""
    none = Rate(0, 0)
    assert evalues.rate_interval(none, ALPHA) == (0, 1)
    assert evalues.paired_interval(Pairs(0, 0, 0), ALPHA) == (-1, 1)
    assert evalues.difference_interval(none, none, ALPHA) == (-1, 1)
    assert evalues.mismatch_log_e((0, 0), (1, 9)) == pytest.approx(0)
    assert evalues.excess_log_e(none, none, 0.01) == 0


def test_disagreement_bounds_the_change_of_accuracy() -> None:
    """Of 10,000 pairs, 12 that disagree: less than a third of a per cent, with no label."""
    interval = evalues.rate_interval(Rate(12, 10_000), ALPHA)
    assert interval.low < 0.0012 < interval.high < 0.0033


Track = Callable[[np.random.Generator], bool]
"""Runs one experiment; says whether the truth was ever left out."""


def _rate_leaves(rng: np.random.Generator) -> bool:
    hits = np.cumsum(rng.random(800) < 0.1)
    return any(evalues.rate_log_e(Rate(int(hit), n), 0.1) >= math.log(1 / ALPHA) for n, hit in enumerate(hits, 1))


def _pairs_leave(rng: np.random.Generator) -> bool:
    drawn = rng.choice(3, size=800, p=[0.08, 0.05, 0.87])
    counts = np.cumsum(np.eye(3, dtype=int)[drawn], axis=0)
    limit = math.log(1 / ALPHA)
    return any(evalues.paired_log_e(Pairs(*map(int, row)), 0.03) >= limit for row in counts)


def _mismatch_leaves(rng: np.random.Generator) -> bool:
    counts = np.cumsum(np.eye(3, dtype=int)[rng.choice(3, size=800, p=[0.5, 0.3, 0.2])], axis=0)
    limit = math.log(1 / ALPHA)
    return any(evalues.mismatch_log_e(tuple(map(int, row)), (5, 3, 2)) >= limit for row in counts)


@pytest.mark.parametrize("leaves", [_rate_leaves, _pairs_leave, _mismatch_leaves])
def test_the_truth_is_left_out_no_oftener_than_promised_though_one_looks_after_each_event(leaves: Track) -> None:
    """200 experiments: at most what a binomial of alpha gives once in a thousand such tests."""
    rng = np.random.default_rng(11)
    wrong = sum(leaves(rng) for _ in range(200))
    assert wrong <= scipy_stats.binom.ppf(0.999, 200, ALPHA)


def test_a_planted_difference_is_found() -> None:
    """Two points more of errors, and the interval that says so holds the truth."""
    before, after = Rate(100, 10_000), Rate(300, 10_000)
    assert evalues.excess_log_e(before, after, 0.01) > math.log(1 / ALPHA)
    assert evalues.excess_log_e(before, after, 0.025) == 0
    low, high = evalues.difference_interval(before, after, ALPHA)
    assert 0.01 < low < 0.02 < high < 0.031
