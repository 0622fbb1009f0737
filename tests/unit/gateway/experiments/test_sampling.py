"""Which answers are logged."""

import pytest

from gateway.experiments.sampling import Policy, Retention


@pytest.mark.parametrize(
    ("scores", "uncertain"),
    [
        ([0.5, 0.45, 0.05], True),
        ([0.5, 0.39], False),
        ([0.9, 0.05], False),
        ([0.54], True),  # the next one may have 0.46
        ([0.56], False),
        ([0.3], True),
        ([], False),
        ([0.5, 0.5], True),
    ],
)
def test_uncertain_is_what_is_nearly_something_else(scores: list[float], uncertain: bool) -> None:
    """The first two scores decide; of one alone, the worst is taken for granted."""
    assert uncertain is Policy(0.25, 0.1).uncertain(scores)
    assert (1.0 if uncertain else 0.25) == Policy(0.25, 0.1).probability(scores)


@pytest.mark.parametrize(
    ("images", "certain", "uncertain"), [("none", False, False), ("uncertain", False, True), ("all", True, True)]
)
def test_images_are_kept_as_told(images: Retention, certain: bool, uncertain: bool) -> None:
    """None, those of uncertain answers, or all."""
    policy = Policy(images=images)

    assert (certain, uncertain) == (policy.keeps_image([0.9, 0.1]), policy.keeps_image([0.4, 0.35]))


@pytest.mark.parametrize(("share", "margin", "logs"), [(0, 0, False), (0.1, 0, True), (0, 0.1, True)])
def test_nothing_is_logged_only_where_nothing_can_be(share: float, margin: float, logs: bool) -> None:
    """Neither by chance nor for doubt."""
    assert logs is Policy(share, margin).logs


def test_without_a_margin_nothing_is_uncertain() -> None:
    """Not even two equal scores."""
    assert not Policy(margin=0).uncertain([0.5, 0.5])


def test_estimates_make_up_for_what_is_left_out() -> None:
    """Records weighed by one over their probability count as many as there were answers, of each kind."""
    policy = Policy(0.2, 0.1)
    answers = [[0.9, 0.05]] * 800 + [[0.5, 0.45]] * 200
    draws = [(number * 0.6180339887) % 1 for number in range(len(answers))]
    kept = [scores for scores, draw in zip(answers, draws, strict=True) if draw < policy.probability(scores)]
    counted = sum(1 / policy.probability(scores) for scores in kept)

    assert abs(counted - 1000) < 30
    assert 200 == sum(policy.uncertain(scores) for scores in kept)
