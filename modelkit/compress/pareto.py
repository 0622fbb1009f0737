"""Draws accuracy against what it costs: a colour for each network, a shape for what it computes in."""

from collections.abc import Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from modelkit.compress.ladder import Arithmetic, Candidate, front

_COSTS = {"latency_ms": "ms a picture, one thread", "kilobytes": "kB", "macs": "million multiply-accumulates"}
_SCALES = {"macs": 1e-6}
_SHAPES: dict[Arithmetic, str] = {"fp32": "o", "INT8": "s", "INT8 after QAT": "^"}


def draw(candidates: Sequence[Candidate], chosen: str | None) -> Figure:
    """Returns a picture of three panels: latency, size and multiply-accumulates.

    Args:
        candidates: at least one.
        chosen: name of the one that is taken, which gets a ring; None for none.
    """
    made = list(dict.fromkeys(each.made for each in candidates))
    colours = {each: colormaps["tab10"](index % 10) for index, each in enumerate(made)}
    figure = Figure(figsize=(13, 5), layout="constrained")
    for axes, cost in zip(figure.subplots(1, len(_COSTS), sharey=True), _COSTS, strict=True):
        _draw_front(axes, candidates, cost)
        for each in candidates:
            at = (_value(each, cost), 100 * each.top1)
            axes.plot(*at, _SHAPES[each.arithmetic], color=colours[each.made], markersize=8, alpha=0.85)
            if each.name == chosen:
                axes.plot(*at, "o", color="black", markersize=18, markerfacecolor="none")
        axes.set(xlabel=_COSTS[cost])
        axes.grid(alpha=0.3)
    figure.axes[0].set(ylabel="top-1 on val, %")
    networks = [_mark("o", made, color=colour) for made, colour in colours.items()]
    figure.legend(handles=networks, loc="outside lower left", ncols=3, frameon=False)
    figure.legend(handles=_shapes(candidates), loc="outside lower right", ncols=2, frameon=False)
    return figure


def _draw_front(axes: Any, candidates: Sequence[Candidate], cost: str) -> None:
    """Draws a line along the candidates that none beats, which goes on to the right: more cost buys nothing more."""
    best = front(candidates, cost)
    most = max(_value(each, cost) for each in candidates)
    costs = [*(_value(each, cost) for each in best), most]
    axes.step(costs, [100 * each.top1 for each in (*best, best[-1])], where="post", color="grey", zorder=1)


def _value(candidate: Candidate, cost: str) -> float:
    return float(getattr(candidate, cost)) * _SCALES.get(cost, 1)


def _shapes(candidates: Sequence[Candidate]) -> list[Line2D]:
    """Returns what says which arithmetic a shape is, and what line and ring mean."""
    used = {each.arithmetic for each in candidates}
    shapes = [_mark(shape, arithmetic, color="grey") for arithmetic, shape in _SHAPES.items() if arithmetic in used]
    line = Line2D([], [], color="grey", label="none is better at that cost")
    return [*shapes, line, _mark("o", "the choice", color="black", markersize=12, markerfacecolor="none")]


def _mark(shape: str, label: str, **style: Any) -> Line2D:
    return Line2D([], [], marker=shape, linestyle="", label=label, **style)
