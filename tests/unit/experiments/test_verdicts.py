"""What is said of a candidate."""

import re
from dataclasses import replace

import pytest

from services.experiments.evalues import Interval, Pairs, Rate, difference_interval, paired_interval, rate_interval
from services.experiments.findings import Finding
from services.experiments.verdicts import Advice, Facts, Hour, Rules, Verdict, findings, judge

RULES = Rules()
GUARDED = {
    "assigned": (50_000, 50_000),
    "slow": (Rate(100, 50_000), Rate(105, 50_000)),
    "failed": (Rate(5, 50_000), Rate(4, 50_000)),
}
"""A candidate that is as fast and as reliable as the control."""


def _said(verdict: Verdict) -> str:
    """Returns the sentence of a verdict without the numbers of its ranges."""
    return re.sub(r"\d+(\.\d+)?(?= to | points|% of)", "#", verdict.sentence)


def _finding(facts: Facts, metric: str, rules: Rules = RULES) -> Finding:
    return next(each for each in findings(facts, rules) if each.metric == metric)


def test_nothing_is_said_of_nothing() -> None:
    """Before the first event."""
    verdict = judge(Facts(), RULES)
    assert (verdict.advice, verdict.sentence) == (Advice.GO_ON, "Nothing is known of the candidate yet; go on.")


def test_a_better_candidate_is_promoted() -> None:
    """Two points of 40,000 labels; the sentence says by how much, and of how many."""
    facts = Facts(correct=(Rate(18_000, 20_000), Rate(18_400, 20_000)), **GUARDED)  # type: ignore[arg-type]
    verdict = judge(facts, RULES, "b")
    assert verdict.advice == Advice.PROMOTE
    assert _said(verdict) == "b is better by # to # points of accuracy (40,000 keys); promote it."


def test_a_better_candidate_waits_for_its_guardrails() -> None:
    """Accuracy alone promotes nobody who may be slow."""
    facts = Facts(correct=(Rate(18_000, 20_000), Rate(18_400, 20_000)), failed=(Rate(0, 9), Rate(0, 9)))
    verdict = judge(facts, RULES, "b")
    assert verdict.advice == Advice.GO_ON
    assert _said(verdict).startswith(
        "b is better by # to # points of accuracy (40,000 keys), but its guardrails are not certain yet: failures"
    )


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (Facts(slow=(Rate(50, 2000), Rate(300, 2000))), "b is late more often by # to # points (4,000 keys)"),
        (Facts(failed=(Rate(0, 2000), Rate(60, 2000))), "b fails more often by # to # points (4,000 keys)"),
        (
            Facts(correct=(Rate(4500, 5000), Rate(4100, 5000))),
            "b is worse by # to # points of accuracy (10,000 keys)",
        ),
        (
            Facts(shadow=True, pairs=Pairs(20, 120, 4000)),
            "b is worse by # to # points of accuracy on the same pictures (4,140 pictures)",
        ),
    ],
)
def test_a_bad_candidate_is_rolled_back(facts: Facts, sentence: str) -> None:
    """For each reason there is."""
    verdict = judge(facts, RULES, "b")
    assert (Advice.ROLL_BACK, f"{sentence}; roll it back.") == (verdict.advice, _said(verdict))


BAD_HOUR = Hour(5, slow=(Rate(10, 1000), Rate(10, 1000)), failed=(Rate(1, 1000), Rate(200, 1000)))


def test_an_hour_that_is_too_bad_is_enough_to_be_rolled_back() -> None:
    """However good the epoch was; the sentence says that it was the hour."""
    facts = Facts(**GUARDED, hours=(Hour(6), BAD_HOUR))  # type: ignore[arg-type]
    verdict = judge(facts, RULES, "b")
    assert Advice.ROLL_BACK == verdict.advice
    assert _said(verdict) == "b fails more often by # to # points in the last hour (2,000 keys); roll it back."
    assert [
        ("late answers", "within bounds"),
        ("failures", "within bounds"),
        ("failures in the last hour", "too bad"),
    ] == [(each.metric, each.word) for each in verdict.findings if each.events and each.metric != "accuracy"]


def test_an_hour_says_nothing_but_that_it_is_too_bad() -> None:
    """None is good enough to promote by. Of several that are too bad the newest is told, and none beside the epoch."""
    good = Hour(0, slow=GUARDED["slow"], failed=GUARDED["failed"])  # type: ignore[arg-type]
    assert judge(Facts(), RULES).findings == judge(Facts(hours=(good,)), RULES).findings
    newer = replace(BAD_HOUR, failed=(Rate(1, 500), Rate(200, 500)))
    assert 1000 == _finding(Facts(hours=(newer, BAD_HOUR)), "failures in the last hour").events
    facts = Facts(failed=BAD_HOUR.failed, hours=(BAD_HOUR,))
    assert not [each for each in findings(facts, RULES) if each.metric.endswith("hour")]


def test_hours_share_their_half_of_alpha() -> None:
    """However many there will be: the later one begins, the more it must show."""
    parts = [Hour(index).part for index in range(10_000)]
    assert 0.999 < sum(parts) < 1
    first, last = (
        _finding(Facts(hours=(replace(BAD_HOUR, index=index),)), "failures in the last hour") for index in (0, 99)
    )
    assert last.interval.low < first.interval.low
    once = Rate(0, 1000), Rate(21, 1000)
    words = [
        [each.word for each in findings(Facts(hours=(Hour(index, failed=once),)), RULES) if each.events]
        for index in (0, 99)
    ]
    assert [["too bad"], []] == words


@pytest.mark.parametrize(
    ("metric", "interval", "word", "sentence"),
    [
        ("accuracy", Interval(0.012, 0.02904), "better", "is better by 1.2 to 2.9 points of accuracy (1,200 keys)"),
        ("accuracy", Interval(-0.029, -0.012), "worse", "is worse by 1.2 to 2.9 points of accuracy (1,200 keys)"),
        ("accuracy", Interval(-0.004, 0.01), "no worse", "is no worse: -0.4 to +1 points of accuracy (1,200 keys)"),
        ("failures", Interval(0.00212, 0.1), "too bad", "fails more often by 0.21 to 10 points (1,200 keys)"),
        (
            "disagreement",
            Interval(0, 0.004),
            "no worse",
            "is no worse: at most 0.4% of its answers differ (1,200 pictures)",
        ),
    ],
)
def test_numbers_have_the_digits_that_say_something(metric: str, interval: Interval, word: str, sentence: str) -> None:
    """In points, and of how many."""
    assert sentence == Finding(metric, 0.0, interval, 1200, word).sentence()


def test_all_that_is_bad_is_said() -> None:
    """In one sentence."""
    facts = Facts(slow=(Rate(50, 2000), Rate(300, 2000)), failed=(Rate(0, 2000), Rate(60, 2000)))
    assert ", and fails more often by " in judge(facts, RULES, "b").sentence


def test_few_disagreements_say_without_a_label_that_a_candidate_is_no_worse() -> None:
    """Promoted where no worse is enough, as for an engine that shall only be faster."""
    facts = Facts(shadow=True, disagreement=Rate(20, 10_000))
    assert judge(facts, RULES).advice == Advice.GO_ON
    verdict = judge(facts, Rules(promote=frozenset({"better", "no worse"})), "b")
    assert verdict.advice == Advice.PROMOTE
    assert "b is no worse: at most #% of its answers differ (10,000 pictures); promote it." == _said(verdict)


def test_a_shadow_needs_no_guardrail_to_be_promoted() -> None:
    """It is wrong only about accuracy, which counts what it failed; how few failures there were need not be certain."""
    facts = Facts(shadow=True, disagreement=Rate(0, 700), failed=(Rate(0, 700), Rate(0, 700)))
    assert "open" == _finding(facts, "failures").word
    assert Advice.PROMOTE == judge(facts, Rules(promote=frozenset({"better", "no worse"}))).advice


def test_a_shadow_that_fails_is_rolled_back() -> None:
    """However often it agrees where it answers."""
    facts = Facts(shadow=True, disagreement=Rate(60, 2000), failed=(Rate(0, 2000), Rate(60, 2000)))
    assert "b fails more often by # to # points (4,000 keys); roll it back." == _said(judge(facts, RULES, "b"))


def test_what_can_be_wrong_of_a_shadow_adds_up_to_alpha() -> None:
    """Half of alpha for each end that promotes, and a quarter for each that rolls back."""
    pairs, rate = Pairs(60, 20, 1920), Rate(5, 2000)
    facts = Facts(shadow=True, pairs=pairs, disagreement=rate, failed=(rate, rate))
    found = {each.metric: each.interval for each in findings(facts, Rules(alpha=0.04))}
    assert {
        "failures": difference_interval(rate, rate, 0.01),
        "accuracy on the same pictures": (paired_interval(pairs, 0.04).low, paired_interval(pairs, 0.02).high),
        "disagreement": rate_interval(rate, 0.02),
    } == found


@pytest.mark.parametrize(("pairs", "word"), [(Pairs(100, 300, 99_600), "no worse"), (Pairs(240, 360, 19_400), "open")])
def test_a_loss_that_may_be_within_the_margin_is_not_rolled_back(pairs: Pairs, word: str) -> None:
    """However certain it is that there is one."""
    facts = Facts(shadow=True, pairs=pairs)
    assert _finding(facts, "accuracy on the same pictures").word == word
    assert judge(facts, RULES).advice == Advice.GO_ON


def test_a_candidate_that_answers_nothing_is_rolled_back_not_repaired() -> None:
    """Keys were dealt as they should; that most requests fail is the candidate's fault."""
    facts = Facts(assigned=(50_000, 50_000), failed=(Rate(50, 50_000), Rate(30_000, 50_000)))
    assert judge(facts, RULES).advice == Advice.ROLL_BACK


def test_paired_answers_need_fewer_labels_than_arms_apart() -> None:
    """The same 40 pictures more of 2,000: certain as pairs, open apart."""
    pairs = Facts(shadow=True, pairs=Pairs(60, 20, 1920))
    apart = Facts(correct=(Rate(1800, 2000), Rate(1840, 2000)))
    assert _finding(pairs, "accuracy on the same pictures").word == "better"
    assert _finding(apart, "accuracy").word == "open"


def test_keys_that_fall_on_arms_as_they_should_not_block_every_other_word() -> None:
    """Even a disaster: it may come from who was asked."""
    facts = Facts(assigned=(52_000, 48_000), failed=(Rate(0, 52_000), Rate(5000, 48_000)))
    verdict = judge(facts, RULES, "b")
    assert verdict.advice == Advice.REPAIR
    assert verdict.sentence.startswith(
        "b was dealt 48,000 of 100,000 keys, where its part is 50,000; repair the dealing"
    )
    assert judge(Facts(assigned=(90_000, 10_100)), Rules(weights=(9, 1))).advice == Advice.GO_ON


def test_labels_that_do_not_fall_as_keys_make_nobody_better() -> None:
    """They may come for right answers of the candidate more often than for wrong ones; that it is worse can be said."""
    better, worse = Rate(1900, 2000), Rate(1500, 2000)
    facts = Facts(correct=(Rate(900, 1000), better), **GUARDED)  # type: ignore[arg-type]
    verdict = judge(facts, RULES, "b")
    assert (Advice.GO_ON, "open") == (verdict.advice, _finding(facts, "accuracy").word)
    assert "(3,000 keys, whose labels do not fall on the arms as keys are dealt, so that it is not" in verdict.sentence
    assert "better" == _finding(facts, "accuracy", Rules(weights=(1, 2))).word
    assert "worse" == _finding(Facts(correct=(Rate(900, 1000), worse)), "accuracy").word


def test_candidates_share_the_alpha_of_the_check_of_the_dealing() -> None:
    """So that it cries wolf in one of a thousand experiments, however many candidates they have."""
    facts = Facts(assigned=(1000, 1216))
    assert [Advice.REPAIR, Advice.GO_ON] == [judge(facts, Rules(candidates=count)).advice for count in (1, 8)]


def test_more_candidates_share_the_allowed_error() -> None:
    """The interval of each is wider."""
    facts = Facts(correct=(Rate(900, 1000), Rate(920, 1000)))
    one, four = (_finding(facts, "accuracy", Rules(candidates=count)).interval for count in (1, 4))
    assert four.low < one.low < one.high < four.high
