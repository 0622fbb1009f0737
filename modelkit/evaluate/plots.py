"""The pictures of a model card, drawn from `evaluation.json`: the same content gives the same bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from modelkit.data.pictures import thumbnail
from modelkit.evaluate.corruptions import SEVERITIES

FOLDER = "evaluation"
CONFUSION, CONFUSED, RELIABILITY, ROBUSTNESS = (
    f"{FOLDER}/{name}.png" for name in ("confusion", "confused", "reliability", "robustness")
)
_NAMED = 30
"""Classes up to which a matrix has names and numbers."""
_SIDE_PX = 56
_COLUMNS = 5
_WIDE = {"left": 0.04, "right": 0.98, "top": 0.95, "bottom": 0.04, "hspace": 0.3, "wspace": 0.08}
"""Fixed margins: seconds faster than a layout that is searched for."""


def draw(folder: Path, content: Mapping[str, Any]) -> None:
    """Draws confusions, reliability and robustness into a folder."""
    _save(_confusion(content), folder / CONFUSION)
    _save(_reliability(content["calibration"]), folder / RELIABILITY)
    _save(_robustness([content, *content["relatives"]]), folder / ROBUSTNESS)


def draw_confused(folder: Path, rows: Sequence[tuple[str, Sequence[bytes]]]) -> None:
    """Draws encoded pictures in rows, each row with a caption; without any row, an empty sheet."""
    columns = max((len(images) for _, images in rows), default=1)
    figure = Figure(figsize=(0.8 * columns + 0.4, 1.05 * max(len(rows), 1)))
    grid = figure.subplots(max(len(rows), 1), columns, squeeze=False, gridspec_kw=_WIDE)
    for axes in grid.flat:
        axes.set_axis_off()
    for (caption, images), line in zip(rows, grid, strict=False):
        line[0].set_title(caption, fontsize=7, loc="left")
        for axes, image in zip(line, images, strict=False):
            pixels = thumbnail(image, _SIDE_PX)
            if pixels is not None:
                axes.imshow(pixels)
    _save(figure, folder / CONFUSED)


def _confusion(content: Mapping[str, Any]) -> Figure:
    labels, counts = content["labels"], content["accuracy"]["matrix"]
    matrix = np.zeros((len(labels), len(labels)))
    for row, columns in counts.items():
        for column, pictures in columns.items():
            matrix[int(row), int(column)] = pictures
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.imshow(shares, cmap="Blues", vmin=0, vmax=1), label="share of the true class")
    axes.set(xlabel="answered", ylabel="true")
    if len(labels) <= _NAMED:
        axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=7)
        axes.set_yticks(range(len(labels)), labels, fontsize=7)
        for row, column in zip(*matrix.nonzero(), strict=True):
            color = "white" if shares[row, column] > 0.5 else "black"
            text = f"{int(matrix[row, column])}"
            axes.text(column, row, text, ha="center", va="center", fontsize=6, color=color)
    return figure


def _reliability(calibration: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    titles = ("as it is", f"divided by {calibration['temperature']:g}")
    for axes, title, bins, ece in zip(
        figure.subplots(1, 2, sharey=True), titles, calibration["bins"], calibration["ece"], strict=True
    ):
        most = max(each["pictures"] for each in bins)
        sizes = [10 + 90 * each["pictures"] / most for each in bins]
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        axes.scatter([each["confidence"] for each in bins], [each["accuracy"] for each in bins], s=sizes)
        axes.set(title=f"{title}: error {ece:.3f}", xlabel="confidence", ylabel="right", xlim=(0, 1), ylim=(0, 1.02))
    return figure


def _robustness(models: Sequence[Mapping[str, Any]]) -> Figure:
    names = list(models[0]["robustness"]["corruptions"])
    rows = -(-(len(names) + 1) // _COLUMNS)
    figure = Figure(figsize=(11, 2.1 * rows))
    subplots = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False, gridspec_kw=_WIDE)
    grid = list(subplots.flat)
    for name, axes in zip(names, grid, strict=False):
        _curves(axes, name, {each["name"]: _curve(each["robustness"], name) for each in models})
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    grid[len(names)].legend(*grid[0].get_legend_handles_labels(), fontsize=7, loc="center")
    return figure


def _curve(robustness: Mapping[str, Any], name: str) -> list[float]:
    return [robustness["clean_top1"], *robustness["corruptions"][name]]


def _curves(axes: Axes, name: str, curves: Mapping[str, Sequence[float]]) -> None:
    for model, values in curves.items():
        axes.plot((0, *SEVERITIES), [100 * value for value in values], marker=".", label=model)
    axes.set_title(name.replace("_", " "), fontsize=8)
    axes.set_ylim(0, 102)
    axes.tick_params(labelsize=7)
    axes.grid(visible=True, alpha=0.3)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    figure.savefig(unfinished, dpi=110, format="png", metadata={"Software": None})
    unfinished.replace(path)
