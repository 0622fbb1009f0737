"""What is said of a candidate."""

import pytest

from services.experiments.evalues import Pairs, Rate
from services.experiments.verdicts import Advice, Facts, Finding, Rules, findings, judge

RULES = Rules()
GUARDED = {
    "assigned": (50_000, 50_000),
    "slow": (Rate(100, 50_000), Rate(105, 50_000)),
    "failed": (Rate(5, 50_000), Rate(4, 50_000)),
}
"""A candidate that is as fast and as reliable as the control."""


def _finding(facts: Facts, metric: str, rules: Rules = RULES) -> Finding:
    return next(each for each in findings(facts, rules) if each.metric == metric)


def test_nothing_is_said_of_nothing() -> None:
    """Before the first event."""
    verdict = judge(Facts(), RULES)
    assert (verdict.advice, verdict.sentence) == (Advice.GO_ON, "go on: nothing is known yet")


def test_a_better_candidate_is_promoted() -> None:
    """Two points of 40,000 labels; the sentence says by how much, and of how many."""
    facts = Facts(correct=(Rate(18_000, 20_000), Rate(18_400, 20_000)), **GUARDED)  # type: ignore[arg-type]
    verdict = judge(facts, RULES)
    assert verdict.advice == Advice.PROMOTE
    assert verdict.sentence.startswith("promote: accuracy: better, +2.00 points (+")
    assert verdict.sentence.endswith(" 40,000 events)")


def test_a_better_candidate_waits_for_its_guardrails() -> None:
    """Accuracy alone promotes nobody who may be slow."""
    verdict = judge(Facts(correct=(Rate(18_000, 20_000), Rate(18_400, 20_000))), RULES)
    assert verdict.advice == Advice.GO_ON
    assert verdict.sentence.startswith("go on: the guardrails are not certain yet")


@pytest.mark.parametrize(
    ("facts", "metric"),
    [
        (Facts(slow=(Rate(50, 2000), Rate(300, 2000))), "late answers"),
        (Facts(failed=(Rate(0, 2000), Rate(60, 2000))), "failures"),
        (Facts(correct=(Rate(4500, 5000), Rate(4100, 5000))), "accuracy"),
        (Facts(pairs=Pairs(20, 120, 4000)), "accuracy on the same pictures"),
    ],
)
def test_a_bad_candidate_is_rolled_back(facts: Facts, metric: str) -> None:
    """For each reason there is."""
    verdict = judge(facts, RULES)
    assert verdict.advice == Advice.ROLL_BACK
    assert verdict.sentence.startswith(f"roll back: {metric}: ")


def test_few_disagreements_say_without_a_label_that_a_candidate_is_no_worse() -> None:
    """Promoted where no worse is enough, as for an engine that shall only be faster."""
    facts = Facts(disagreement=Rate(20, 10_000), **GUARDED)  # type: ignore[arg-type]
    assert judge(facts, RULES).advice == Advice.GO_ON
    verdict = judge(facts, Rules(promote=frozenset({"better", "no worse"})))
    assert verdict.advice == Advice.PROMOTE
    assert "disagreement: no worse" in verdict.sentence


@pytest.mark.parametrize(("pairs", "word"), [(Pairs(100, 300, 99_600), "no worse"), (Pairs(240, 360, 19_400), "open")])
def test_a_loss_that_may_be_within_the_margin_is_not_rolled_back(pairs: Pairs, word: str) -> None:
    """However certain it is that there is one."""
    facts = Facts(pairs=pairs)
    assert _finding(facts, "accuracy on the same pictures").word == word
    assert judge(facts, RULES).advice == Advice.GO_ON


def test_a_candidate_that_answers_nothing_is_rolled_back_not_repaired() -> None:
    """Keys were dealt as they should; that most requests fail is the candidate's fault."""
    facts = Facts(assigned=(50_000, 50_000), failed=(Rate(50, 50_000), Rate(30_000, 50_000)))
    assert judge(facts, RULES).advice == Advice.ROLL_BACK


def test_paired_answers_need_fewer_labels_than_arms_apart() -> None:
    """The same 40 pictures more of 2,000: certain as pairs, open apart."""
    pairs = Facts(pairs=Pairs(60, 20, 1920))
    apart = Facts(correct=(Rate(1800, 2000), Rate(1840, 2000)))
    assert _finding(pairs, "accuracy on the same pictures").word == "better"
    assert _finding(apart, "accuracy").word == "open"


def test_keys_that_fall_on_arms_as_they_should_not_block_every_other_word() -> None:
    """Even a disaster: it may come from who was asked."""
    facts = Facts(assigned=(52_000, 48_000), failed=(Rate(0, 52_000), Rate(5000, 48_000)))
    verdict = judge(facts, RULES)
    assert verdict.advice == Advice.REPAIR
    assert verdict.sentence.startswith(
        "repair: the candidate was dealt 48,000 of 100,000 keys, where its part is 50,000"
    )
    assert judge(Facts(assigned=(90_000, 10_100)), Rules(weights=(9, 1))).advice == Advice.GO_ON


def test_more_candidates_share_the_allowed_error() -> None:
    """The interval of each is wider."""
    facts = Facts(correct=(Rate(900, 1000), Rate(920, 1000)))
    one, four = (_finding(facts, "accuracy", Rules(candidates=count)).interval for count in (1, 4))
    assert four.low < one.low < one.high < four.high
