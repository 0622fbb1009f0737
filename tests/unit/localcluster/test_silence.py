"""Silence: what counts towards the end of a process that hangs."""

from localcluster.silence import Silence


class Clock:
    """Is a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Tells the time."""
        return self.now


def checks(silence: Silence, clock: Clock, count: int, step_s: float = 1.1) -> list[bool]:
    """Lets some checks go by without an answer."""
    found = []
    for _ in range(count):
        clock.now += step_s
        found.append(silence.unheard())
    return found


def test_ten_seconds_of_checks_are_enough() -> None:
    """The verdict comes with the check that completes the time."""
    clock = Clock()
    silence = Silence(10, clock=clock)
    silence.heard()
    assert [False] * 9 + [True] == checks(silence, clock, 10)


def test_an_answer_starts_over() -> None:
    """Only silence without an interruption counts."""
    clock = Clock()
    silence = Silence(10, clock=clock)
    silence.heard()
    checks(silence, clock, 9)
    silence.heard()
    assert [False] * 9 == checks(silence, clock, 9)


def test_the_own_pause_is_no_silence() -> None:
    """A check that lasted an hour, because this process was held, counts as one check."""
    clock = Clock()
    silence = Silence(10, clock=clock)
    silence.heard()
    assert [False] == checks(silence, clock, 1, step_s=3600)
