"""Which label holds, and what is a repeat."""

from dataclasses import replace
from itertools import permutations

import pytest
from fakes.evidence import ANNOTATOR, SYSTEM, USER
from hypothesis import given
from hypothesis import strategies as st

from services.experiments.feedback import History, Statement, holding


def _said(name: str, label: int, source: int = USER, time: int = 0, received: int = 0) -> Statement:
    return Statement(name, "p", label, None, source, time, received)


def _history(*statements: Statement, named: bool = False) -> History:
    history = History((), ())
    for each in statements:
        history.take(each, named=named)
    return history


def _holds(history: History) -> list[int | None]:
    return [each.label_index for each in history.holding()]


def test_the_last_word_of_a_source_holds() -> None:
    """A correction, and one that takes the correction back."""
    first, second, third = _said("a", 1, time=1), _said("b", 2, time=2), _said("c", 1, time=3)
    assert [2] == _holds(_history(first, second))
    history = _history(first, second, third)
    assert ([1], 3) == (_holds(history), len(history.taken))


def test_the_last_word_is_the_one_that_was_said_last() -> None:
    """Not the one that came last; where two are said at the same time, that one."""
    assert [2] == _holds(_history(_said("b", 2, time=2, received=1), _said("a", 1, time=1, received=2)))
    assert [1] == _holds(_history(_said("b", 2, time=2, received=1), _said("a", 1, time=2, received=2)))


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_an_annotator_outweighs_a_system_and_that_a_user(order: tuple[int, ...]) -> None:
    """Whoever speaks last."""
    ranked = [_said("u", 1, USER), _said("s", 2, SYSTEM), _said("a", 3, ANNOTATOR)]
    spoken = [ranked[place] for place in order]
    assert 3 == holding(spoken).label_index
    assert 2 == holding(each for each in spoken if each.source != ANNOTATOR).label_index


def test_the_same_label_again_is_a_repeat() -> None:
    """Unless another one came between, or another source says it."""
    assert ["a"] == [each.feedback_id for each in _history(_said("a", 1, time=1), _said("b", 1, time=2)).taken]
    both = _history(_said("a", 1), _said("b", 1, ANNOTATOR))
    assert ["a", "b"] == [each.feedback_id for each in both.taken]


def test_a_name_and_an_index_are_different_labels() -> None:
    """Nobody knows here that they mean the same class."""
    by_name = Statement("b", "p", None, "tabby", USER, 1, 1)
    assert 2 == len(_history(_said("a", 1), by_name).taken)


def test_an_id_says_what_a_repeat_is() -> None:
    """Whatever else it says; and another id is no repeat, even of the same label."""
    history = _history(_said("a", 1, time=1), _said("a", 2, time=2), _said("b", 1, time=3), named=True)
    assert [("a", 1), ("b", 1)] == [(each.feedback_id, each.label_index) for each in history.taken]


def test_an_id_is_of_its_prediction() -> None:
    """Two callers may both call their first feedback 1."""
    first, second = _said("1", 1), replace(_said("1", 2), prediction_id="q")
    history = _history(first, second, first, second, named=True)
    assert ([first, second], [1, 2]) == (history.taken, _holds(history))


def test_what_was_taken_before_counts() -> None:
    """Ids and last statements come from the database."""
    history = History([("p", "a")], [_said("a", 1, ANNOTATOR, time=5)])
    history.take(_said("a", 2, time=6), named=True)
    history.take(_said("b", 1, ANNOTATOR, time=6), named=False)
    assert ([], []) == (history.taken, history.holding())
    history.take(_said("c", 3, USER, time=9), named=False)
    assert [1] == _holds(history)


statements = st.builds(
    _said,
    st.sampled_from("abcdefgh"),
    st.integers(0, 2),
    st.sampled_from([USER, SYSTEM, ANNOTATOR]),
    st.integers(0, 3),
    st.integers(0, 9),
)


@given(st.lists(statements, unique_by=lambda each: each.feedback_id), st.randoms())
def test_the_order_in_which_labels_with_ids_come_does_not_matter(said: list[Statement], random: object) -> None:
    """Nor that some come twice, or that some were taken in an earlier transaction."""
    shuffled = sorted(said + said[::2], key=lambda _: random.random())  # type: ignore[attr-defined]
    assert sorted(_holds(_history(*said, named=True)), key=str) == sorted(
        _holds(_history(*shuffled, named=True)), key=str
    )
