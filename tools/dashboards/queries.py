"""Every query that people and alerts depend on, taken out of the files themselves, its variables filled in."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILLED = {"$__rate_interval": "1m", "$namespace": ".*", "$job": ".*", "$model": ".*"}


@dataclass(frozen=True, slots=True)
class Asked:
    """Is one query and where it stands."""

    where: str
    expr: str


def of_dashboard(path: Path) -> Iterator[Asked]:
    """Yields the queries of every panel."""
    page = json.loads(path.read_text())
    for panel in page["panels"]:
        for target in panel.get("targets", []):
            yield Asked(f"{page['title']}: {panel['title']} [{target['refId']}]", filled(target["expr"]))


def of_variables(path: Path) -> Iterator[Asked]:
    """Yields a query for the values of every variable that is looked up."""
    page = json.loads(path.read_text())
    for variable in page["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"])
            assert match is not None, variable  # noqa: S101 (there is no other kind)
            selector = filled(match[1]).replace("}", ",").rstrip("{") if "{" in match[1] else f"{match[1]}{{"
            expr = f'group by ({match[2]}) ({selector}{match[2]}!=""}})'
            yield Asked(f"{page['title']}: variable {variable['name']}", expr)


def of_rules(path: Path) -> Iterator[Asked]:
    """Yields the name of every series that is recorded."""
    for rule in _rules(path):
        if "record" in rule:
            yield Asked(f"{path.name}: {rule['record']}", rule["record"])


def expressions(path: Path) -> Iterator[str]:
    """Yields the expressions of all rules, alerts and recordings."""
    yield from (rule["expr"] for rule in _rules(path))


def _rules(path: Path) -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(path.read_text())["groups"]:
        yield from group["rules"]


def filled(expr: str) -> str:
    """Returns an expression with its variables filled in, so that all series are chosen.

    Raises:
        ValueError: it has a variable that is not known here.
    """
    for name, value in FILLED.items():
        expr = expr.replace(name, value)
    if "$" in expr:
        raise ValueError(f"an unknown variable: {expr}")
    return expr


def metrics(expr: str) -> set[str]:
    """Returns the names of the metrics that an expression reads."""
    bare = re.sub(r'"[^"]*"', "", expr)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(?:by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)", "", bare)
    words = re.findall(r"[a-zA-Z_:][\w:]*\b(?!\s*\()", bare)
    return {word for word in words if "_" in word or word in ("ALERTS", "up")}
