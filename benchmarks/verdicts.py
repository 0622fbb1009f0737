"""Simulates experiments that are judged after every event: how often the verdict is wrong, and how soon it is right.

    python -m benchmarks.verdicts --experiments 1000

The candidate is as good as the control (A/A), or has a planted fault. The first event at which a metric says
`roll back` ends a run; what is counted is therefore what a cluster would do that looks all the time.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.limit import CORES
from services.experiments.evalues import Pairs, Rate, excess_log_e, paired_log_e, rate_log_e
from services.experiments.verdicts import Advice, Facts, Rules, judge


@dataclass(frozen=True, slots=True)
class Truth:
    """Is what the arms are really like; shares of events, each of another key."""

    name: str
    slow: tuple[float, float] = (0.01, 0.01)
    failed: tuple[float, float] = (0.001, 0.001)
    correct: tuple[float, float] = (0.90, 0.90)
    disagreement: float = 0.06
    """Of the pictures that both see: those with a label count as pairs."""
    labelled: float = 0.3
    """Share of the requests for which a label comes."""


TRUTHS = (
    Truth("A/A"),
    Truth("2 points less accurate", correct=(0.90, 0.88)),
    Truth("10 % later than the service level", slow=(0.01, 0.11)),
    Truth("1 % more failures", failed=(0.001, 0.011)),
)


@dataclass(frozen=True, slots=True)
class Run:
    """Is how one experiment went."""

    events: int
    """Until the rollback, or all."""
    rolled_back: bool


def simulate(truth: Truth, events: int, seed: int) -> Run:
    """Runs one experiment to its rollback or end; each event is a new key's request, and perhaps a labelled pair."""
    rng = np.random.default_rng(seed)
    limit, margin = math.log(1 / Rules().metric_alpha), Rules().accuracy_margin
    tallies = _tallies(truth, events, rng)
    for count, (facts, margins) in enumerate(tallies, 1):
        pairs = facts.pairs
        suspect = any(excess_log_e(before, after, most) >= limit for before, after, most in margins)
        suspect = suspect or (pairs.difference < -margin and paired_log_e(pairs, -margin) >= limit)
        if suspect and judge(facts, Rules()).advice == Advice.ROLL_BACK:  # whose intervals take longer
            return Run(count, rolled_back=True)
    return Run(events, rolled_back=False)


Margins = tuple[tuple[Rate, Rate, float], ...]


def _tallies(truth: Truth, events: int, rng: np.random.Generator) -> Iterator[tuple[Facts, Margins]]:
    """Counts event by event; accuracy apart counts wrong answers, of which more are worse."""
    arms = rng.random(events) < 0.5
    draws = rng.random((events, 4))
    totals, slow, failed, labelled, right = ([0, 0] for _ in range(5))
    wins = losses = pairs = 0
    rules = Rules()
    better, worse = _discordant(truth)
    for arm, (late, error, label, paired) in zip(arms.astype(int).tolist(), draws.tolist(), strict=True):
        totals[arm] += 1
        slow[arm] += late < truth.slow[arm]
        failed[arm] += error < truth.failed[arm]
        if label < truth.labelled:
            labelled[arm] += 1
            right[arm] += label < truth.labelled * truth.correct[arm]
            pairs += 1
            wins += paired < better
            losses += better <= paired < better + worse
        late_rates, failures = ((Rate(each[0], totals[0]), Rate(each[1], totals[1])) for each in (slow, failed))
        correct = (Rate(right[0], labelled[0]), Rate(right[1], labelled[1]))
        wrong = [Rate(each.misses, each.total) for each in correct]
        facts = Facts(
            assigned=(totals[0], totals[1]),
            correct=correct,
            pairs=Pairs(wins, losses, pairs - wins - losses),
            slow=late_rates,
            failed=failures,
        )
        yield (
            facts,
            (
                (*late_rates, rules.slow_margin),
                (*failures, rules.failed_margin),
                (wrong[0], wrong[1], rules.accuracy_margin),
            ),
        )


def _discordant(truth: Truth) -> tuple[float, float]:
    """Returns the shares of pairs that only the candidate, and only the control, has right."""
    apart = truth.correct[1] - truth.correct[0]
    return (truth.disagreement + apart) / 2, (truth.disagreement - apart) / 2


def covered(rate: float, events: int, seed: int) -> bool:
    """Says whether a confidence sequence held the rate after each of so many events."""
    hits = np.cumsum(np.random.default_rng(seed).random(events) < rate)
    limit = math.log(1 / Rules().alpha)
    return all(rate_log_e(Rate(int(hit), count), rate) < limit for count, hit in enumerate(hits, 1))


def main() -> int:
    """Simulates and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=1000, help="of each kind")
    parser.add_argument("--events", type=int, default=10_000, help="of an experiment")
    options = parser.parse_args()
    seeds = range(options.experiments)
    with ProcessPoolExecutor(CORES) as pool:
        for truth in TRUTHS:
            runs = list(pool.map(partial(simulate, truth, options.events), seeds, chunksize=10))
            _show(truth, runs)
        for rate in (0.001, 0.1, 0.5):
            held = sum(pool.map(partial(covered, rate, options.events), seeds, chunksize=10))
            sys.stdout.write(
                f"confidence sequence of a rate of {rate:g}: held it throughout in {held / options.experiments:.1%}, "
                f"promised {1 - Rules().alpha:.0%}\n"
            )
    return 0


def _show(truth: Truth, runs: list[Run]) -> None:
    found = [run.events for run in runs if run.rolled_back]
    share = len(found) / len(runs)
    if len(found) * 2 > len(runs):
        median = statistics.median(run.events if run.rolled_back else math.inf for run in runs)
        soon = f", half of them within {median:,.0f} requests"
    else:
        soon = ""
    sys.stdout.write(f"{truth.name:<36} rolled back in {share:6.1%} of {len(runs)} experiments{soon}\n")


if __name__ == "__main__":
    sys.exit(main())
