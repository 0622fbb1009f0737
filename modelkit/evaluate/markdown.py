"""Markdown, a little of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from modelkit.release.candidate import parent_name


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table; what is in a cell cannot end it."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(_cell(each) for each in line) + " |" for line in lines)


def percent(share: float | None) -> str:
    """Returns a share as per cent; a dash for none."""
    return "-" if share is None else f"{100 * share:.2f}%"


def size(count: float) -> str:
    """Returns bytes or a count in thousands or millions, three digits."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}"
    return f"{count:.3g} "


def lineage_lines(lineage: Mapping[str, Any], depth: int = 0) -> list[str]:
    """Returns a list of what a model was made of, parents within."""
    lines = [
        f"{'  ' * depth}- {key}: {_value(value)}"
        for key, value in lineage.items()
        if key not in ("parents", "lineage") and value is not None
    ]
    for role, parent in lineage.get("parents", {}).items():
        lines.append(f"{'  ' * depth}- {role}: {parent_name(parent)}")
        lines += lineage_lines({**(parent.get("lineage") or {}), "run": None}, depth + 1)
    return lines


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(map(str, value.values()))
    return f"`{value[:12]}`" if isinstance(value, str) and len(value) == 64 else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
