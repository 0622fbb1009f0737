"""The report's pictures."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from benchmarks.report.measurement import Round

LATENCY, CPU = "latency.svg", "cpu.svg"
LOADS = ("1", "4", "16", "64")


def draw(rounds: Sequence[Round], folder: Path) -> list[str]:
    """Draws throughput against latency, and the CPU by process; returns the files' names."""
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "triptych"  # the same data gives the same file
    _latency(rounds, folder / LATENCY)
    _cpu(rounds, folder / CPU)
    return [LATENCY, CPU]


def _latency(rounds: Sequence[Round], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(9, 5.5))
    limit = statistics.median(each.limit_rate for each in rounds)
    axes.axvline(limit, color="black", linestyle=":", label="limit: no server")
    for system, transport in dict.fromkeys((m.system, m.transport) for m in rounds[0].measurements):
        points = [_point(rounds, system, transport, load) for load in LOADS]
        shown = [point for point in points if point is not None]
        if len(shown) < 2:
            continue
        style = "-" if system.startswith("Triptych") else "--"
        axes.plot(*zip(*shown, strict=True), style, marker="o", markersize=4, label=f"{system}, {transport}")
    axes.set(xlabel="requests per second", ylabel="p50 latency, ms", yscale="log")
    axes.set_title("Throughput against latency at 1, 4, 16 and 64 clients")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=7)
    _save(figure, path)


def _point(rounds: Sequence[Round], system: str, transport: str, load: str) -> tuple[float, float] | None:
    found = [m for each in rounds if (m := each.find(system, transport, load)) is not None]
    if not found:
        return None
    return statistics.median(m.rate for m in found), statistics.median(m.p50_ms for m in found)


def _cpu(rounds: Sequence[Round], path: Path) -> None:
    bars: dict[str, dict[str, float]] = {}
    for system, transport in dict.fromkeys((m.system, m.transport) for m in rounds[0].measurements):
        found = [m for each in rounds if (m := each.find(system, transport, "16")) is not None]
        if found:
            names = [name for name in found[0].cpu_ms if name != "generator"]
            bars[f"{system}, {transport}"] = {name: statistics.median(m.cpu_ms[name] for m in found) for name in names}
    figure, axes = plt.subplots(figsize=(9, 0.35 * len(bars) + 1.5))
    for name in dict.fromkeys(name for bar in bars.values() for name in bar):
        left = [sum(list(bar.values())[: list(bar).index(name)]) if name in bar else 0.0 for bar in bars.values()]
        axes.barh(list(bars), [bar.get(name, 0.0) for bar in bars.values()], left=left, label=name)
    axes.axvline(statistics.median(each.limit_cpu_ms for each in rounds), color="black", linestyle=":")
    axes.set(xlabel="CPU-ms per request at 16 clients; dotted: the limit")
    axes.invert_yaxis()
    axes.legend(fontsize=7)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
