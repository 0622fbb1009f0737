"""The model card: Markdown and pictures, made of `evaluation.json` and nothing else, so that it can be made again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelkit.evaluate.corruptions import CORRUPTIONS, SEVERITIES
from modelkit.evaluate.limits import limits
from modelkit.evaluate.markdown import lineage_lines, percent, size, table
from modelkit.evaluate.plots import CONFUSED, CONFUSION, RELIABILITY, ROBUSTNESS, draw
from modelkit.gate import GateError
from modelkit.release.candidate import EVALUATION_FILE
from modelkit.train.files import write_atomically

CARD_FILE = "card.md"
_WORST = 10
"""Classes that are shown of more than twice as many."""

Content = Mapping[str, Any]


def write_card(folder: Path) -> Path:
    """Writes card and plots of what was evaluated in a folder; the pictures of confusions stay as they are.

    Raises:
        GateError: nothing was evaluated there.
    """
    try:
        content = json.loads((folder / EVALUATION_FILE).read_bytes())
    except OSError as error:
        raise GateError(f"{folder} was not evaluated: `triptych model evaluate` writes {EVALUATION_FILE}") from error
    draw(folder, content)
    write_atomically(folder / CARD_FILE, render(content).encode())
    return folder / CARD_FILE


def render(content: Content) -> str:
    """Returns the card."""
    sections = (_what, _lineage, _data, _figures, _classes, _confusions, _calibration, _cost, _robustness, _limits)
    return "\n\n".join(section(content) for section in sections) + "\n"


def _what(content: Content) -> str:
    recipe, labels = content["input"], content["labels"]
    shown = ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "")
    facts = table(
        ("", ""),
        [
            ("takes", f"pictures, cut and resized to {recipe['width']} x {recipe['height']} pixels"),
            ("answers", f"{len(labels)} classes: {shown}"),
            ("made by", content["made"]),
            ("file", f"{size(content['cost']['file_bytes'])}B, sha256 `{content['model_sha256'][:12]}`"),
            ("temperature", f"{content['temperature']:g}, by which logits are divided before the softmax"),
        ],
    )
    return f"# {content['name']}\n\n{facts}"


def _lineage(content: Content) -> str:
    return "## Lineage\n\n" + "\n".join(lineage_lines(content["lineage"]))


def _data(content: Content) -> str:
    data = content["dataset"]
    counts = ", ".join(f"{count:,} {split}" for split, count in data["pictures"].items())
    return (
        f"## Data\n\nJudged by the data set {data['name']} {data['version']} (licence {data['license']}, from "
        f"{data['source']}): labelled pictures {counts}."
    )


def _figures(content: Content) -> str:
    headings = ("model", "made by", "top-1", "top-5", "corrupted", "error of confidence", "ms", "size", "MACs")
    text = f"## Figures\n\nOn the test split.\n\n{table(headings, [_row(each) for each in models_of(content)])}"
    for name, why in content["left_out"].items():
        text += f"\n\nNot compared with {name}: {why}."
    return text


def models_of(content: Content) -> list[Content]:
    """Returns the model and those that it is compared with."""
    return [content, *content["relatives"]]


def _row(model: Content) -> tuple[str, ...]:
    accuracy, cost = model["accuracy"], model["cost"]
    return (
        model["name"],
        model["made"],
        percent(accuracy["top1"]),
        percent(accuracy["top5"]),
        percent(model["robustness"]["mean_top1"]),
        f"{model['calibration']['ece'][1]:.4f}",
        f"{cost['latency_ms']['1']:.3f}",
        f"{size(cost['file_bytes'])}B",
        size(cost["macs"]),
    )


def _classes(content: Content) -> str:
    classes = content["accuracy"]["classes"]
    title = "## Classes"
    if len(classes) > 2 * _WORST:
        known = [each for each in classes if each["accuracy"] is not None]
        classes = sorted(known, key=lambda each: each["accuracy"])[:_WORST]
        title += f"\n\nThe {_WORST} with the lowest accuracy; `{EVALUATION_FILE}` has all."
    rows = [(c["label"], str(c["pictures"]), percent(c["accuracy"]), percent(c["precision"])) for c in classes]
    return f"{title}\n\n{table(('class', 'pictures', 'answered right', 'answers right'), rows)}"


def _confusions(content: Content) -> str:
    pairs = content["accuracy"]["confused"]
    rows = [(each["true"], each["taken_for"], str(each["pictures"]), percent(each["share"])) for each in pairs]
    if not rows:
        return "## Confusions\n\nNone."
    named = table(("true", "taken for", "pictures", "of the class"), rows)
    return f"## Confusions\n\n![matrix]({CONFUSION})\n\n{named}\n\nThe surest mistakes:\n\n![pictures]({CONFUSED})"


def _calibration(content: Content) -> str:
    found = content["calibration"]
    how = f"fitted on the split {found['fitted_on']}" if found["fitted_on"] else f"not fitted: {found['why_not']}"
    rows = [
        ("expected calibration error", *(f"{each:.4f}" for each in found["ece"])),
        ("mean negative log-likelihood, nats", *(f"{each:.4f}" for each in found["nll"])),
    ]
    figures = table(("on the test split", "before", "after"), rows)
    return (
        f"## Calibration\n\nTemperature {found['temperature']:g}, {how}.\n\n{figures}\n\n![reliability]({RELIABILITY})"
    )


def _cost(content: Content) -> str:
    headings = ("model", "ms, batch 1", "ms a picture, batch 8", "resident", "of it the model", "size", "MACs", "INT8")
    rows = [_cost_row(each["name"], each["cost"]) for each in models_of(content)]
    engine = f"{content['cost']['engine']}, one thread, processor time, the median"
    return f"## Cost\n\n{engine}.\n\n{table(headings, rows)}"


def _cost_row(name: str, cost: Content) -> tuple[str, ...]:
    times = (f"{each:.3f}" for each in cost["latency_ms"].values())
    sizes = (f"{size(cost[key])}B" for key in ("resident_bytes", "model_bytes", "file_bytes"))
    return (name, *times, *sizes, size(cost["macs"]), f"{cost['int8_convolutions']} convolutions")


def _robustness(content: Content) -> str:
    mine = content["robustness"]
    rows = [
        (name.replace("_", " "), CORRUPTIONS[name].family, *(percent(each) for each in values))
        for name, values in mine["corruptions"].items()
    ]
    severities = table(("corruption", "family", *(f"severity {each}" for each in SEVERITIES)), rows)
    return (
        f"## Robustness\n\nTop-1, {mine['protocol']}. Without corruption {percent(mine['clean_top1'])}, mean over all "
        f"corruptions and severities {percent(mine['mean_top1'])}.\n\n{severities}\n\n{_side_by_side(content)}\n\n"
        f"![robustness]({ROBUSTNESS})\n\n{_variations(content)}"
    )


def _side_by_side(content: Content) -> str:
    models = models_of(content)
    rows = [
        (name.replace("_", " "), *(percent(sum(values) / len(values)) for values in columns))
        for name in content["robustness"]["corruptions"]
        for columns in [[each["robustness"]["corruptions"][name] for each in models]]
    ]
    rows.append(("mean", *(percent(each["robustness"]["mean_top1"]) for each in models)))
    return "Mean over the severities:\n\n" + table(("corruption", *(each["name"] for each in models)), rows)


def _variations(content: Content) -> str:
    models = models_of(content)
    rows = [
        (f"{name}, {level}", *(_varied(each["robustness"]["variations"][name][level]) for each in models))
        for name, levels in content["robustness"]["variations"].items()
        for level in levels
    ]
    told = "Top-1, and in brackets the share of pictures that keep their first class:"
    return f"{told}\n\n{table(('variation', *(each['name'] for each in models)), rows)}"


def _varied(outcome: Content) -> str:
    return f"{percent(outcome['top1'])} ({percent(outcome['same'])})"


def _limits(content: Content) -> str:
    return "## Limits\n\n" + "\n".join(f"- {each}" for each in limits(content))
