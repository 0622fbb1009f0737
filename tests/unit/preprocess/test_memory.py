"""The budget of memory that decoding threads share."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.preprocess.formats.header import Format, Header
from services.preprocess.memory import MemoryBudget, decode_bytes


def test_the_cost_grows_with_the_pixels() -> None:
    """Seven megapixels of WebP take 140 MB, however few bytes they were sent in."""
    assert 140_000_000 == decode_bytes(Header(Format.WEBP, 3500, 2000, b""))


def test_what_fits_goes_on() -> None:
    """Two shares that fit together are held at the same time."""
    budget = MemoryBudget(100)
    with budget.reserve(60), budget.reserve(40):
        pass


def test_what_does_not_fit_waits() -> None:
    """A share that does not fit begins only after the other has ended."""
    budget, order = MemoryBudget(100), []
    holding, release = threading.Event(), threading.Event()

    def first() -> None:
        with budget.reserve(60):
            holding.set()
            release.wait(5)
            order.append("first ends")

    def second() -> None:
        with budget.reserve(60):
            order.append("second begins")

    with ThreadPoolExecutor(2) as pool:
        pool.submit(first)
        holding.wait(5)
        waiting = pool.submit(second)
        assert not waiting.done()
        release.set()
        waiting.result(5)
    assert ["first ends", "second begins"] == order


def test_one_that_exceeds_the_budget_has_all_of_it() -> None:
    """The largest picture is decoded alone, not refused for ever."""
    budget = MemoryBudget(100)
    with budget.reserve(1000):
        pass
    with budget.reserve(100):
        pass


def test_a_failure_gives_the_share_back() -> None:
    """A picture that cannot be decoded leaves the budget as it was."""
    budget = MemoryBudget(100)
    with pytest.raises(ZeroDivisionError), budget.reserve(100):
        _ = 1 / 0
    with budget.reserve(100):
        pass
