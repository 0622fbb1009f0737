"""The picture of a search."""

import numpy as np
from matplotlib.lines import Line2D

from modelkit.compress.ladder import Candidate
from modelkit.compress.pareto import draw

CANDIDATES = (
    Candidate("given", "as given", "fp32", 0.93, 1.0, 400, 10_000_000, ""),
    Candidate("given-int8", "as given", "INT8", 0.92, 0.4, 100, 10_000_000, ""),
    Candidate("given-qat-int8", "as given", "INT8 after QAT", 0.925, 0.5, 100, 10_000_000, ""),
    Candidate("half", "pruned", "fp32", 0.91, 0.6, 200, 5_000_000, ""),
)


def _points(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]


def test_every_cost_has_a_panel_that_tells_the_candidates_apart() -> None:
    """A shape says what is computed in, a colour which network it is, a ring what is taken; the legend has them all."""
    figure = draw(CANDIDATES, "given-qat-int8")
    assert ["ms a picture, one thread", "kB", "million multiply-accumulates"] == [
        axes.get_xlabel() for axes in figure.axes
    ]
    for axes, costs in zip(figure.axes, ((1.0, 0.4, 0.5, 0.6), (400, 100, 100, 200), (10, 10, 10, 5)), strict=True):
        single = [line for line in axes.lines if len(_points(line)) == 1]
        ring = next(line for line in single if line.get_color() == "black")
        marks = [line for line in single if line is not ring]
        assert [(costs[2], 92.5)] == _points(ring)
        assert [*zip(costs, "os^o", strict=True)] == [(_points(line)[0][0], line.get_marker()) for line in marks]
        assert 2 == len({line.get_color() for line in marks})
    told = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert {"as given", "pruned", "fp32", "INT8", "INT8 after QAT", "none is better at that cost", "the choice"} == told


def test_the_line_joins_what_none_beats() -> None:
    """By latency: INT8, then INT8 after QAT, then the network as given; the pruned one is beaten."""
    line = next(each for each in draw(CANDIDATES, None).axes[0].lines if len(_points(each)) > 1)
    assert [(0.4, 92.0), (0.5, 92.5), (1.0, 93.0), (1.0, 93.0)] == _points(line)
