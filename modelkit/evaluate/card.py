"""The model card: Markdown and pictures, made of `evaluation.json` and nothing else, so that it can be made again."""

import json
from pathlib import Path

from modelkit.evaluate.findings import Content
from modelkit.evaluate.limits import limits
from modelkit.evaluate.markdown import lineage_lines, size, table
from modelkit.evaluate.plots import draw
from modelkit.evaluate.robustness_section import robustness
from modelkit.evaluate.sections import calibration, classes, confusions, cost, figures
from modelkit.gate import GateError
from modelkit.release.candidate import EVALUATION_FILE
from modelkit.train.files import write_atomically

CARD_FILE = "card.md"


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
    sections = (_what, _lineage, _data, figures, classes, confusions, calibration, cost, robustness, _limits)
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


def _limits(content: Content) -> str:
    return "## Limits\n\n" + "\n".join(f"- {each}" for each in limits(content))
