"""Writes the tables of values in the chart's README.md; `--check` fails when they differ from values.yaml."""

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby

from tools.chart.values import CHART, VALUES, Value, read_values

README = CHART / "README.md"
BEGIN, END = "<!-- values: written by `make gen` from values.yaml -->\n", "<!-- end of values -->\n"


def tables(values: Sequence[Value]) -> str:
    """Returns a table for each section, and one for the keys that stand alone."""
    alone = [value for value in values if len(value.path) == 1 and (value.default or not _has_keys(value, values))]
    sections = [list(group) for _, group in groupby(values, key=lambda value: value.path[0])]
    parts = [_table("Names and other single values", alone)]
    parts += [_table(f"`{rows[0].path[0]}`", rows[1:], rows[0].comment) for rows in sections if len(rows) > 1]
    return "\n".join(parts)


def _table(title: str, values: Sequence[Value], comment: str = "") -> str:
    rows = [f"| `{'.'.join(value.path)}` | {_default(value)} | {value.comment} |" for value in values if _told(value)]
    head = [
        f"### {title}",
        "",
        *([comment, ""] if comment else []),
        "| value | default | means |",
        "| --- | --- | --- |",
    ]
    return "\n".join([*head, *rows]) + "\n"


def _told(value: Value) -> bool:
    return bool(value.default or value.comment)


def _default(value: Value) -> str:
    return f"`{value.default}`" if value.default else ""


def _has_keys(value: Value, values: Sequence[Value]) -> bool:
    return any(other.path[:-1] == value.path for other in values)


def page(readme: str, values: str) -> str:
    """Returns the README with its tables as values.yaml says.

    Raises:
        ValueError: the README does not mark where the tables are.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README.name} has no lines {BEGIN.strip()} and {END.strip()}")
    return f"{before}{begin}\n{tables(list(read_values(values)))}\n{end}{after}"


def main() -> int:
    """Writes, or compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the page, write nothing")
    old, new = README.read_text(), page(README.read_text(), VALUES.read_text())
    if parser.parse_args().check:
        if old != new:
            sys.stderr.write(f"helm/triptych/{README.name} is not what values.yaml says: run `make gen`\n")
            return 1
        return 0
    README.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
