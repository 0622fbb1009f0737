"""Plots of reports: well-formed, the same for the same data, and with everything inside."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.cli.plots import Range, lines, ranges, ticks

SVG = "{http://www.w3.org/2000/svg}"
RUN = [Range(0, -100, 0, 100), Range(60, -4, 1, 6), Range(120, -1, 1.5, 4)]


def texts(svg: str) -> list[str]:
    """Returns what stands in a picture."""
    return [each.text or "" for each in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 (our own)


def test_a_range_over_time() -> None:
    """A band for each epoch, its middle, zero and the margin, with units."""
    svg = ranges("b: accuracy <pairs>", [RUN, RUN], -1.0)
    root = ET.fromstring(svg)  # noqa: S314 (our own)
    assert 2 == len(list(root.iter(f"{SVG}polygon")))
    assert {"b: accuracy <pairs>", "points", "minutes since the start"} <= set(texts(svg))
    assert svg == ranges("b: accuracy <pairs>", [RUN, RUN], -1.0)


def test_the_first_ranges_do_not_flatten_the_rest() -> None:
    """The axis holds the later half of what is drawn."""
    marks = [float(text) for text in texts(ranges("x", [RUN], -1.0)) if text.lstrip("-").replace(".", "").isdecimal()]
    assert -100 < min(marks) < max(marks) < 100


def test_lines_have_names() -> None:
    """Each line's name stands in the picture."""
    assert {"b", "c"} <= set(texts(lines("Keys", {"b": [(0, 5), (60, 6)], "c": [(0, 20), (60, 21)]})))


@pytest.mark.parametrize(
    "svg", [ranges("x", [[Range(0, 0, 0, 0)]], 0.0), lines("x", {"b": [(0, 0)]}), ranges("x", [], 1)]
)
def test_little_data_is_drawn_too(svg: str) -> None:
    """One point at zero, or none, makes a picture without nonsense in it."""
    assert "nan" not in svg.lower()
    ET.fromstring(svg)  # noqa: S314 (our own)


@given(low=st.floats(-1e4, 1e4), span=st.floats(1e-3, 1e4))
def test_ticks_are_few_and_inside(low: float, span: float) -> None:
    """There are at most seven, within the ends."""
    found = ticks(low, low + span)
    slack = 1e-6 * max(1.0, abs(low), span)
    assert len(found) <= 7
    assert all(low - slack <= each <= low + span + slack for each in found)
