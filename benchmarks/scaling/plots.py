"""Draws latency and throughput as plots."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.scaling.simulation import Result


def draw_latency(curves: Mapping[str, Sequence[Result]], path: Path) -> None:
    """Draws p99 over the rate, one line for each layout's cell, as SVG."""
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    for title, results in curves.items():
        axes.plot([result.rate for result in results], [result.p99_ms for result in results], marker="o", label=title)
    axes.set(xlabel="images/s of one cell", ylabel="p99 ms", xscale="log", yscale="log")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
