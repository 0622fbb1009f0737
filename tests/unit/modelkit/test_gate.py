"""The gate: what may change when a model is quantised, and what the refusal says."""

import hashlib

import numpy as np
import pytest

from modelkit.gate import GateError, Logits, compare, judge

pytestmark = pytest.mark.unit

NAMES = ["cat.jpg", "cup.jpg"]
SURE: Logits = np.array([[8, 0, 0], [0, 8, 0]], np.float32)
VARIED: Logits = np.repeat(SURE, 10, axis=0)
FILE = b"the candidate"


def _near_ties(count: int, margin: float) -> Logits:
    """Returns the variants with `count` of them so near a tie that `margin` logits decide."""
    logits = VARIED.copy()
    logits[:count] = [8, 8 - margin, 0]
    return logits


def _swapped(logits: Logits, count: int) -> Logits:
    """Returns answers that prefer the second class in the first `count` rows."""
    swapped = logits.copy()
    swapped[:count, [0, 1]] = logits[:count, [1, 0]]
    return swapped


def test_equal_answers_pass() -> None:
    """A candidate that answers alike gets the gate's word for exactly its bytes, with the figures."""
    passed = judge(FILE, compare(NAMES, (SURE, SURE), (VARIED, VARIED)))

    assert hashlib.sha256(FILE).hexdigest() == passed.sha256
    assert {
        "photographs": 2,
        "photographs_same_top1": 2,
        "variants": 20,
        "variants_same_top1": 1.0,
        "changed_variant_margin_max_logits": 0.0,
        "kl_mean_nats": 0.0,
        "logit_correlation_min": 1.0,
    } == passed.figures


def test_one_changed_photograph_is_one_too_many() -> None:
    """Every photograph keeps its first class, however near it was; the refusal names those that do not."""
    near: Logits = np.array([[8, 7.99, 0], [0, 8, 0]], np.float32)

    with pytest.raises(GateError, match=r"1 of 2 photographs changed, none may: cat\.jpg$"):
        judge(FILE, compare(NAMES, (near, _swapped(near, 1)), (VARIED, VARIED)))


def test_a_drop_is_refused_with_every_number() -> None:
    """A planted drop is refused with the number, the bound and the distance, for each bound that it breaks."""
    ties = _near_ties(4, margin=1)

    with pytest.raises(GateError) as caught:
        judge(FILE, compare(NAMES, (SURE, SURE), (ties, _swapped(ties, 4))))

    sentence = str(caught.value)
    assert "0.800 of 20 variants keep their first class, 0.100 below the least allowed, 0.9" in sentence
    assert "the margin of a changed variant is 1.000 logits, 0.400 above the most allowed, 0.6" in sentence
    assert "the mean KL divergence is 0.092 nats, 0.072 above the most allowed, 0.02" in sentence
    assert "photographs" not in sentence


def test_few_near_ties_may_change() -> None:
    """Variants of which the parent was unsure may change; the margin and the share are written down."""
    ties = _near_ties(2, margin=0.125)

    passed = judge(FILE, compare(NAMES, (SURE, SURE), (ties, _swapped(ties, 2))))

    assert (0.9, 0.125) == (
        passed.figures["variants_same_top1"],
        passed.figures["changed_variant_margin_max_logits"],
    )


def test_flatter_answers_are_refused() -> None:
    """A candidate with the same classes but other certainty fails on the divergence alone."""
    with pytest.raises(GateError, match="parent: the mean KL divergence is") as caught:
        judge(FILE, compare(NAMES, (SURE, SURE), (VARIED, VARIED * np.float32(0.25))))

    assert ";" not in str(caught.value)


def test_answers_that_are_no_numbers_are_refused() -> None:
    """NaN passes no bound."""
    with pytest.raises(GateError, match="nan"):
        judge(FILE, compare(NAMES, (SURE, SURE), (VARIED, VARIED * np.float32("nan"))))
