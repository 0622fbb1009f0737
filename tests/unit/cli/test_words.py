"""Words of the command line: shares, times, arms and shadows."""

from collections.abc import Callable

import pytest

from triptych.cli import words


@pytest.mark.parametrize(("text", "expected"), [("0.2", 0.2), ("20%", 0.2), (" 5 % ", 0.05), ("0", 0.0), ("100%", 1.0)])
def test_shares_are_read(text: str, expected: float) -> None:
    """A share is a number, or percent."""
    assert expected == words.share(text, "It")


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("10m", 600), ("2h", 7200), ("7d", 604800), ("600", 600), ("1.5h", 5400)]
)
def test_times_are_read(text: str, expected: float) -> None:
    """A time has a unit, or is in seconds."""
    assert expected == words.duration_s(text, "It")


def test_arms_and_shadows_are_read() -> None:
    """An arm has the weight that is given, and a shadow sees all where none is."""
    assert [("control", "1", 95.0), ("b", "2", None)] == [words.arm("control=1:95"), words.arm("b=2")]
    assert [("c", "3", 0.2), ("c", "3", 1.0)] == [words.shadow("c=3:20%"), words.shadow("c=3")]


def test_other_words_are_read() -> None:
    """Weights, slots and steps."""
    assert (("b", 10.0), (0.0, 0.5)) == (words.weight("b=10"), words.slot("0:50%"))
    assert [0.01, 0.05, 0.25] == words.steps("0.01,5%,0.25")


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (words.arm, "control", "is not like control=1:95"),
        (words.arm, "b=two:5", "the version is a decimal number"),
        (words.arm, "b=2:many", "is a number, not 'many'"),
        (words.shadow, "c=2:1.5", "a share from 0 to 1"),
        (words.weight, "b", "is not like b=10"),
        (words.slot, "0.5", "is not like 0:0.5"),
        (words.slot, "0:0", "no key would take part"),
        (words.slot, "50%:0", "no key would take part"),
        (words.steps, "0.1,,0.2", "A step of --ramp is a number"),
        (lambda text: words.duration_s(text, "--hold"), "soon", "--hold is a time such as 90s"),
        (lambda text: words.share(text, "The holdout"), "-1%", "The holdout is a share from 0 to 1"),
    ],
)
def test_what_cannot_be_read_is_told(read: Callable[[str], object], text: str, said: str) -> None:
    """The refusal names the word and what it should be like."""
    with pytest.raises(ValueError, match=said):
        read(text)
