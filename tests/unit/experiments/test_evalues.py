"""Evidence: exact expectations by enumeration, mixtures by integration, least values by an optimiser, properties."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize
from scipy import stats as scipy_stats

from services.experiments import evalues
from services.experiments.evalues import STAKES, STRENGTHS, Pairs, Rate

ALPHA = 0.05
COUNTS = st.integers(0, 400)
RATES = st.builds(lambda hits, misses: Rate(hits, hits + misses), COUNTS, COUNTS)
PAIRS = st.builds(Pairs, COUNTS, COUNTS, COUNTS)
DIFFERENCES = st.floats(-0.95, 0.95)
RATIOS = st.sampled_from([0.1, 1.0, 19.0])


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
@pytest.mark.parametrize("less", [0.0, 0.03])
@pytest.mark.parametrize("total", [1, 6, 25])
def test_an_e_value_of_pairs_is_1_at_most_on_average_if_the_null_is_true(
    rates: tuple[float, float, float], less: float, total: int
) -> None:
    """Whatever the share of ties, of which the null says nothing; and where the truth is less than the null."""
    null = rates[0] - rates[1] + less
    expected = sum(
        scipy_stats.multinomial.pmf(pairs, total, rates) * math.exp(evalues.paired_log_e(pairs, null))
        for pairs in _pairs(total)
    )
    assert 0 < expected <= 1 + 1e-9
    assert less > 0 or null > 0.05 or expected == pytest.approx(1)  # where every stake may be bet


@pytest.mark.parametrize(("first", "second"), [(0.3, 0.3), (0.05, 0.15), (0.9, 0.4)])
@pytest.mark.parametrize("ratio", [1.0, 19.0])
def test_an_e_value_of_a_difference_is_1_at_most_on_average_if_the_null_is_true(
    first: float, second: float, ratio: float
) -> None:
    """Whatever the rates are that differ so; with unequal arms, planned so or not."""
    before, after = 12, 7
    expected = sum(
        scipy_stats.binom.pmf(one, before, first)
        * scipy_stats.binom.pmf(other, after, second)
        * math.exp(evalues.difference_log_e(Rate(one, before), Rate(other, after), second - first, ratio))
        for one in range(before + 1)
        for other in range(after + 1)
    )
    assert 0 < expected <= 1 + 1e-9


@given(RATES, st.floats(0.1, 0.9))
@settings(max_examples=25, deadline=None)
def test_a_rates_e_value_is_an_integral(rate: Rate, null: float) -> None:
    """Over all rates, with the densities of Beta distributions around the null: SciPy's numbers."""
    hits, misses = rate.hits, rate.misses
    log_e = evalues.rate_log_e(rate, null)

    def density(share: float) -> float:
        ratio = hits * math.log(share / null) + misses * math.log((1 - share) / (1 - null))
        mixed = sum(_beta(share, each * null, each * (1 - null)) for each in STRENGTHS) / len(STRENGTHS)
        return mixed * math.exp(ratio - log_e)

    peaks = sorted((hits + each * null) / (hits + misses + each) for each in STRENGTHS)
    whole, _ = integrate.quad(density, 0, 1, points=[null, *peaks], limit=400)
    assert whole == pytest.approx(1, rel=1e-4)


def _beta(share: float, first: float, second: float) -> float:
    scale = math.lgamma(first + second) - math.lgamma(first) - math.lgamma(second)
    return math.exp(scale + (first - 1) * math.log(share) + (second - 1) * math.log(1 - share))


@given(RATES, st.floats(0.01, 0.99))
@settings(deadline=None)
def test_a_rates_e_value_is_scipys_beta_binomial(rate: Rate, null: float) -> None:
    """Which counts the ways to order the events in, as the binomial under the null does."""
    mixed = [scipy_stats.betabinom.logpmf(rate.hits, rate.total, each * null, each * (1 - null)) for each in STRENGTHS]
    likely = scipy_stats.binom.logpmf(rate.hits, rate.total, null)
    assert evalues.rate_log_e(rate, null) == pytest.approx(_log_mean(mixed) - likely, abs=1e-6)


@given(RATES, RATES, DIFFERENCES, RATIOS)
@settings(max_examples=60, deadline=None)
def test_no_rates_that_differ_by_the_null_have_a_smaller_e_value(
    before: Rate, after: Rate, null: float, ratio: float
) -> None:
    """SciPy's optimiser finds none, from a grid on, and no larger one is claimed than it finds."""

    def log_e(rate: float) -> float:
        return _log_mean(
            [
                scipy_stats.betabinom.logpmf(before.hits, before.total, k * ratio * rate, k * ratio * (1 - rate))
                - scipy_stats.binom.logpmf(before.hits, before.total, rate)
                + scipy_stats.betabinom.logpmf(after.hits, after.total, k * (rate + null), k * (1 - rate - null))
                - scipy_stats.binom.logpmf(after.hits, after.total, rate + null)
                for k in STRENGTHS
            ]
        )

    low, high = max(0.0, -null) + 1e-9, min(1.0, 1 - null) - 1e-9
    best = optimize.minimize_scalar(log_e, bounds=(low, high), method="bounded", options={"xatol": 1e-10}).fun
    assert evalues.difference_log_e(before, after, null, ratio) == pytest.approx(best, abs=1e-4)


def _log_mean(logs: list[float]) -> float:
    most = max(logs)
    return most + math.log(sum(math.exp(each - most) for each in logs) / len(logs))


@given(PAIRS, DIFFERENCES)
@settings(deadline=None)
def test_an_e_value_of_pairs_is_what_bettors_have(pairs: Pairs, null: float) -> None:
    """One pair after the other: 1 and the stake times what came less what was to come; nobody bets more than he has."""
    wealth = []
    for stake in STAKES:
        if stake * (1 + null) < 1:
            gains = [1 + stake * (came - null) for came in (1, -1, 0)]
            wealth.append(sum(math.log(gain) * count for gain, count in zip(gains, pairs, strict=True)))
        else:
            wealth.append(-math.inf)
    assert evalues.paired_log_e(pairs, null) == pytest.approx(_log_mean(wealth))


@given(PAIRS)
@settings(deadline=None)
def test_that_wins_are_as_likely_as_losses_is_tested_like_mcnemar(pairs: Pairs) -> None:
    """Ties say nothing, and wins among the others are held against a half."""
    wins, losses, _ = pairs
    half = (wins + losses) * math.log(0.5)
    bets = [wins * math.log((1 + stake) / 2) + losses * math.log((1 - stake) / 2) - half for stake in STAKES]
    assert evalues.paired_log_e(pairs, 0) == pytest.approx(_log_mean(bets))


@given(RATES, RATES, DIFFERENCES)
@settings(max_examples=50, deadline=None)
def test_it_does_not_matter_what_is_called_a_hit(before: Rate, after: Rate, null: float) -> None:
    """Nor which of two equal arms is called which."""
    log_e = evalues.difference_log_e(before, after, null)
    missed = [Rate(each.misses, each.total) for each in (before, after)]
    assert evalues.difference_log_e(missed[0], missed[1], -null) == pytest.approx(log_e, abs=1e-4)
    assert evalues.difference_log_e(after, before, -null) == pytest.approx(log_e, abs=1e-4)


@given(RATES, RATES, PAIRS, RATIOS)
@settings(max_examples=25, deadline=None)
def test_intervals_hold_the_estimate_and_grow_as_alpha_shrinks(
    before: Rate, after: Rate, pairs: Pairs, ratio: float
) -> None:
    """Each within the next."""
    differences = [evalues.difference_interval(before, after, alpha, ratio) for alpha in (0.5, 0.05, 0.005)]
    paired = [evalues.paired_interval(pairs, alpha) for alpha in (0.5, 0.05, 0.005)]
    rates = [evalues.rate_interval(before, alpha) for alpha in (0.5, 0.05, 0.005)]
    middles = (after.share - before.share, pairs.difference, before.share)
    for middle, nested in zip(middles, (differences, paired, rates), strict=True):
        assert nested[2].low <= nested[1].low <= nested[0].low <= middle
        assert middle <= nested[0].high <= nested[1].high <= nested[2].high


@given(PAIRS)
@settings(deadline=None)
def test_pairs_swapped_have_the_interval_mirrored(pairs: Pairs) -> None:
    """Wins of one are losses of the other."""
    low, high = evalues.paired_interval(pairs, ALPHA)
    assert evalues.paired_interval(pairs.swapped, ALPHA) == pytest.approx((-high, -low))


@given(RATES, RATES, st.lists(st.floats(-0.9, 0.9), min_size=3, max_size=3))
@settings(max_examples=50, deadline=None)
def test_an_e_value_of_a_difference_is_convex_in_the_null(before: Rate, after: Rate, nulls: list[float]) -> None:
    """So that an interval is one."""
    left, middle, right = sorted(nulls)
    if right - left < 1e-6:
        return
    part = (middle - left) / (right - left)
    log_es = [evalues.difference_log_e(before, after, null) for null in (left, middle, right)]
    assert log_es[1] <= (1 - part) * log_es[0] + part * log_es[2] + 1e-4


@given(PAIRS, st.floats(-0.9, 0.9), st.floats(0, 0.5))
@settings(deadline=None)
def test_an_e_value_of_pairs_falls_with_the_null(pairs: Pairs, null: float, more: float) -> None:
    """What refutes that it is at most so much, refutes that it is at most less."""
    assert evalues.paired_log_e(pairs, min(1.0, null + more)) <= evalues.paired_log_e(pairs, null) + 1e-9


@given(RATES, RATES, DIFFERENCES)
@settings(max_examples=50, deadline=None)
def test_what_is_known_below_enough_is_not_above_it(before: Rate, after: Rate, null: float) -> None:
    """The search may end early, on the right side."""
    log_e = evalues.difference_log_e(before, after, null)
    for enough in (log_e - 1, log_e + 1):
        short = evalues.difference_log_e(before, after, null, enough=enough)
        assert (short < enough) == (log_e < enough)


def test_nothing_is_known_of_nothing() -> None:
    """Without events, every interval is the whole range, and no e-value says anything."""
    none = Rate(0, 0)
    assert evalues.rate_interval(none, ALPHA) == (0, 1)
    assert evalues.paired_interval(Pairs(0, 0, 0), ALPHA) == (-1, 1)
    assert evalues.difference_interval(none, none, ALPHA) == (-1, 1)
    assert evalues.mismatch_log_e((0, 0), (1, 9)) == pytest.approx(0)


@pytest.mark.parametrize("rate", [Rate(0, 50), Rate(50, 50)])
def test_what_cannot_happen_and_did_is_refuted_for_sure(rate: Rate) -> None:
    """A rate of 0 by one hit, one of 1 by one miss; and what happened as it must, says nothing."""
    assert evalues.rate_log_e(rate, 1 - rate.share) == math.inf
    assert evalues.rate_log_e(rate, rate.share) == pytest.approx(0)


def test_disagreement_bounds_the_change_of_accuracy() -> None:
    """Of 10,000 pairs, 12 that disagree: less than a third of a per cent, with no label."""
    interval = evalues.rate_interval(Rate(12, 10_000), ALPHA)
    assert interval.low < 0.0012 < interval.high < 0.003


def test_a_planted_difference_is_found() -> None:
    """Two points more of errors, and the interval that says so holds the truth."""
    before, after = Rate(100, 10_000), Rate(300, 10_000)
    low, high = evalues.difference_interval(before, after, ALPHA)
    assert 0.012 < low < 0.02 < high < 0.028
