"""Draws the plots of a report as SVG: ranges over time, and lines over time. Pure; the same data gives the same text.

The command line has few dependencies, and a plotting library would outweigh all of them together: what a report needs
is two axes, bands and lines.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 40
COLOURS = ("#1f6f8b", "#c0562f", "#5a7d2a", "#7a4f9a", "#a88414", "#33607a", "#9a3f5f", "#4f4f4f")
BAND, RULE, TEXT, GRID = "#1f6f8b", "#b3261e", "#333333", "#dddddd"
UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


@dataclass(frozen=True, slots=True)
class Range:
    """Is an estimate with its range at one time."""

    time_s: float
    low: float
    middle: float
    high: float


Point = tuple[float, float]
"""A time in seconds, and a value."""


@dataclass(frozen=True, slots=True)
class Axes:
    """Maps data to places in the picture."""

    end_s: float
    low: float
    high: float

    def x(self, time_s: float) -> float:
        """Returns the place of a time."""
        return LEFT + (WIDTH - LEFT - RIGHT) * time_s / (self.end_s or 1.0)

    def y(self, value: float) -> float:
        """Returns the place of a value."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - self.low) / (self.high - self.low)

    def path(self, points: Sequence[Point]) -> str:
        """Returns points as SVG wants them."""
        return " ".join(f"{self.x(time):.1f},{self.y(value):.1f}" for time, value in points)


def ranges(title: str, runs: Sequence[Sequence[Range]], margin: float) -> str:
    """Draws how a metric's range went, in points.

    Args:
        title: stands above.
        runs: of each epoch; evidence begins anew with each.
        margin: what the rules allow, drawn as a line.
    """
    end_s = max((each.time_s for run in runs for each in run), default=1.0)
    axes = Axes(end_s, *_limits(runs[-1] if runs else (), margin))
    parts = [*_frame(title, axes, "points")]
    for value, style in ((0.0, f'stroke="{TEXT}"'), (margin, f'stroke="{RULE}" stroke-dasharray="5 4"')):
        parts.append(_line([(0.0, value), (axes.end_s, value)], axes, style))
    for run in runs:
        outline = [(each.time_s, each.high) for each in run] + [(each.time_s, each.low) for each in reversed(run)]
        parts.append(
            f'<polygon points="{axes.path(outline)}" fill="{BAND}" fill-opacity="0.25" clip-path="url(#plot)"/>'
        )
        parts.append(_line([(each.time_s, each.middle) for each in run], axes, f'stroke="{BAND}" stroke-width="2"'))
    return _picture(parts)


def lines(title: str, series: Mapping[str, Sequence[Point]]) -> str:
    """Draws shares over time, in percent, each with its name at the right."""
    points = [point for each in series.values() for point in each]
    top = max((value for _, value in points), default=1.0) * 1.1 or 1.0
    axes = Axes(max((time for time, _ in points), default=1.0), 0.0, min(100.0, top))
    parts = [*_frame(title, axes, "%")]
    for number, (name, line) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(_line(line, axes, f'stroke="{colour}" stroke-width="2"'))
        parts.append(_text(WIDTH - RIGHT, TOP + 14 + 15 * number, name, f'text-anchor="end" fill="{colour}"'))
    return _picture(parts)


def _limits(last: Sequence[Range], margin: float) -> tuple[float, float]:
    """Returns ends that hold the later half of the last run: at first a range may be anything, and would flatten it."""
    later = last[len(last) // 2 :]
    least, most = min((each.low for each in later), default=-1.0), max((each.high for each in later), default=1.0)
    low, high = min(least, 2 * margin, 0.0), max(most, 2 * margin, 0.0)
    pad = 0.08 * (high - low) or 1.0
    return max(low - pad, -100.0), min(high + pad, 100.0)


def _frame(title: str, axes: Axes, unit: str) -> Iterator[str]:
    yield _text(LEFT, 20, title, 'font-weight="bold"')
    for value in ticks(axes.low, axes.high):
        yield _line([(0.0, value), (axes.end_s, value)], axes, f'stroke="{GRID}"')
        yield _text(LEFT - 8, axes.y(value) + 4, f"{value:g}", 'text-anchor="end"')
    length, name = next((each for each in UNITS if axes.end_s >= 2 * each[0]), UNITS[-1])
    for value in ticks(0.0, axes.end_s / length):
        yield _text(axes.x(value * length), HEIGHT - BOTTOM + 16, f"{value:g}", 'text-anchor="middle"')
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, f"{name} since the start", 'text-anchor="middle"')
    yield _text(14, TOP - 4, unit, "")


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Returns round numbers between two others."""
    rough = max(high - low, 1e-12) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _line(points: Sequence[Point], axes: Axes, style: str) -> str:
    return f'<polyline points="{axes.path(points)}" fill="none" {style} clip-path="url(#plot)"/>'


def _text(x: float, y: float, text: str, style: str) -> str:
    fill = "" if "fill=" in style else f' fill="{TEXT}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}{fill}>{escape(text)}</text>'


def _picture(parts: Sequence[str]) -> str:
    inner = f'x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12">'
    )
    clip = f'<defs><clipPath id="plot"><rect {inner}/></clipPath></defs><rect width="100%" height="100%" fill="white"/>'
    return "\n".join([head, clip, *parts, "</svg>", ""])
