"""The report of a sweep: how learning rate and batch size change the result, as Markdown and as a plot."""

from collections.abc import Callable, Sequence
from io import BytesIO

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from modelkit.train.grid import Cell, Grid, best

REPORT_FILE = "sweep.md"
PLOT_FILE = "sweep.png"


def render(name: str, grid: Grid, cells: Sequence[Cell]) -> str:
    """Renders the report; trainings that are still to come are dashes.

    Args:
        name: of the recipe.
        grid: what is tried.
        cells: what has been.
    """
    missing = len(grid.rates) * len(grid.batches) - len(cells)
    state = f" {missing} trainings are still to come." if missing else ""
    tables = {
        "Top-1 on val": lambda cell: "ran away" if cell.ran_away else f"{cell.top1:.4f}",
        "Loss on val, nats": lambda cell: "ran away" if cell.ran_away else f"{cell.loss:.3f}",
        "Seconds": lambda cell: f"{cell.seconds:.1f}",
    }
    return "\n".join(
        [
            f"# Sweep of {name}",
            "",
            f"Each cell is a training of {grid.epochs} epochs with one seed, so small differences mean nothing.{state}",
            "",
            *_findings(grid, cells),
            "",
            f"![top-1 and loss by learning rate and batch]({PLOT_FILE})",
            *(line for title, told in tables.items() for line in _table(title, grid, cells, told)),
            "",
        ]
    )


def plot(grid: Grid, cells: Sequence[Cell]) -> bytes:
    """Draws, as PNG, top-1 and loss over the rates, a line for each batch; a cell that ran away leaves a gap."""
    with mpl.rc_context({"svg.hashsalt": "triptych"}):
        figure = Figure(figsize=(10, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for batch in grid.batches:
            row = sorted((cell.rate, cell) for cell in cells if cell.batch == batch and not cell.ran_away)
            rates = [rate for rate, _ in row]
            left.plot(rates, [100 * cell.top1 for _, cell in row], "o-", label=f"batch {batch}")
            right.plot(rates, [cell.loss for _, cell in row], "o-", label=f"batch {batch}")
        _label(left, grid, "top-1 on val, %")
        _label(right, grid, "loss on val, nats")
        content = BytesIO()
        figure.savefig(content, dpi=120)
    return content.getvalue()


def _label(axes: Axes, grid: Grid, what: str) -> None:
    axes.set(xscale="log", xlabel="learning rate, peak", ylabel=what)
    axes.set_xticks(grid.rates, [f"{rate:g}" for rate in grid.rates])
    axes.minorticks_off()
    axes.legend()


def _findings(grid: Grid, cells: Sequence[Cell]) -> list[str]:
    chosen = best(cells)
    if chosen is None:
        return ["No training has come to a result that can be used."]
    lines = [
        f"- Best of all: rate {chosen.rate:g} with batch {chosen.batch}, top-1 {chosen.top1:.4f}.{_edge(grid, chosen)}"
    ]
    for batch in grid.batches:
        row = [cell for cell in cells if cell.batch == batch]
        top = best(row)
        lost = sum(cell.ran_away for cell in row)
        if top is not None:
            away = f"; {lost} ran away" if lost else ""
            share = f"{top.rate / batch:.2g} for each picture of the batch"
            lines.append(f"- Batch {batch}: the best rate is {top.rate:g} ({share}), top-1 {top.top1:.4f}{away}.")
    return lines


def _edge(grid: Grid, chosen: Cell) -> str:
    """Says where the best lies at the end of what was tried, so that better may lie beyond."""
    ends = []
    if len(grid.rates) > 1 and chosen.rate in (grid.rates[0], grid.rates[-1]):
        ends.append("lowest rate" if chosen.rate == grid.rates[0] else "highest rate")
    if len(grid.batches) > 1 and chosen.batch in (grid.batches[0], grid.batches[-1]):
        ends.append("smallest batch" if chosen.batch == grid.batches[0] else "largest batch")
    return f" It is the {' and the '.join(ends)} that was tried: better may lie beyond." if ends else ""


def _table(title: str, grid: Grid, cells: Sequence[Cell], told: Callable[[Cell], str]) -> list[str]:
    known = {(cell.rate, cell.batch): told(cell) for cell in cells}
    rows = [
        f"| {rate:g} | " + " | ".join(known.get((rate, batch), "–") for batch in grid.batches) + " |"  # noqa: RUF001
        for rate in grid.rates
    ]
    heads = " | ".join(f"batch {batch}" for batch in grid.batches)
    return ["", f"## {title}", "", f"| rate | {heads} |", "| --- " * (len(grid.batches) + 1) + "|", *rows]
