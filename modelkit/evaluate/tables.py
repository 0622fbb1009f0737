"""Shows an evaluation to people."""

from collections.abc import Callable

from rich.table import Table

from modelkit.evaluate.findings import Content, models_of
from modelkit.evaluate.markdown import percent, size


def summary_table(content: Content) -> Table:
    """Returns a table of figures, a column for each model."""
    models = models_of(content)
    table = _table("", *(each["name"] for each in models))
    for name, figure in _FIGURES.items():
        table.add_row(name, *(figure(each) for each in models))
    return table


_FIGURES: dict[str, Callable[[Content], str]] = {
    "made by": lambda each: each["made"],
    "top-1": lambda each: percent(each["accuracy"]["top1"]),
    "top-5": lambda each: percent(each["accuracy"]["top5"]),
    "top-1, corrupted": lambda each: percent(each["robustness"]["mean_top1"]),
    "calibration error": lambda each: f"{each['calibration']['ece'][0]:.4f}",
    "with temperature": lambda each: f"{each['calibration']['ece'][1]:.4f}",
    "ms": lambda each: f"{each['cost']['latency_ms']['1']:.3f}",
    "ms a picture of 8": lambda each: f"{each['cost']['latency_ms']['8']:.3f}",
    "resident": lambda each: f"{size(each['cost']['resident_bytes'])}B",
    "file": lambda each: f"{size(each['cost']['file_bytes'])}B",
    "MACs": lambda each: size(each["cost"]["macs"]),
}


def robustness_table(content: Content) -> Table:
    """Returns a table of top-1 by corruption: each severity, and the mean of each model that is compared."""
    others = content["relatives"]
    table = _table("corruption", "1", "2", "3", "4", "5", "mean", *(each["name"] for each in others))
    for name, values in content["robustness"]["corruptions"].items():
        means = [_mean(each["robustness"]["corruptions"][name]) for each in (content, *others)]
        table.add_row(name.replace("_", " "), *(f"{100 * each:.1f}" for each in (*values, *means)))
    return table


def variations_table(content: Content) -> Table:
    """Returns a table of what small differences do: top-1, and in brackets how many keep their first class."""
    models = models_of(content)
    table = _table("variation", *(each["name"] for each in models))
    for name, levels in content["robustness"]["variations"].items():
        for level in levels:
            found = [each["robustness"]["variations"][name][level] for each in models]
            cells = (f"{100 * each['top1']:.1f} ({100 * each['same']:.1f})" for each in found)
            table.add_row(f"{name}, {level}", *cells)
    return table


def confused_table(content: Content) -> Table:
    """Returns a table of the most frequent confusions."""
    table = _table("true", "taken for", "pictures", "of the class")
    for each in content["accuracy"]["confused"]:
        table.add_row(each["true"], each["taken_for"], str(each["pictures"]), percent(each["share"]))
    return table


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _table(*columns: str) -> Table:
    words = {"", "corruption", "variation", "true", "taken for"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", justify="left" if column in words else "right")
    return table
