"""Shows versions to people."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.tree import Tree

from modelkit.release.candidate import LINEAGE_FILE, parent_name
from modelkit.release.gates import Check
from modelkit.release.versions import Row
from servicekit.manifest import Version

_SHARES = ("test_top1", "imagenet_top1")


def list_table(rows: Iterable[Row]) -> Table:
    """Returns a table of versions; a star marks the live one of each model."""
    table = _table("model", "version", "live", "precision", "size", "top-1", "ms, 1 thread", "made of")
    for row in rows:
        accuracy = row.version.accuracy
        top1 = next((f"{float(accuracy[name]):.4f}" for name in _SHARES if name in accuracy), "-")
        latency = accuracy.get("latency_1_thread_ms", "-")
        size = f"{row.size / 1e6:.2f} MB" if row.size else "missing"
        precision = row.version.artifacts["cpu"].precision
        live = "*" if row.live else ""
        table.add_row(row.model, row.number, live, precision, size, top1, str(latency), _made_of(row.version))
    return table


def _made_of(version: Version) -> str:
    lineage = version.lineage
    if "run" in lineage:
        return f"run {lineage['run']}, {lineage.get('dataset', '')}"
    return f"version {lineage['parent_version']}" if "parent_version" in lineage else lineage.get("command", "-")


def checks_table(checks: Iterable[Check]) -> Table:
    """Returns a table of what the gates measured."""
    table = _table("gate", "measured", "value", "limit", "")
    for check in checks:
        bound = "at most" if check.at_most else "at least"
        limit = f"{bound} {check.limit:.4f}{check.unit}"
        verdict = "passed" if check.passed else "refused"
        table.add_row(check.gate, check.what, f"{check.value:.4f}{check.unit}", limit, verdict)
    return table


def differences_table(one: str, other: str, found: Iterable[tuple[str, str, str]]) -> Table:
    """Returns a table of what differs between two versions."""
    table = _table("", one, other)
    for row in found:
        table.add_row(*row)
    return table


def lineage_tree(folder: Path, title: str, number: str, version: Version) -> Tree:
    """Returns what a version was made of, with its parents' own parents where they are known."""
    tree = Tree(title)
    for name, value in version.lineage.items():
        tree.add(f"{name}: {value}")
    path = folder / number / LINEAGE_FILE
    if path.exists():
        _add_parents(tree, json.loads(path.read_bytes()))
    return tree


def _add_parents(tree: Tree, lineage: dict[str, Any]) -> None:
    for role, parent in lineage.get("parents", {}).items():
        weights = f", weights {parent['model_sha256'][:12]}" if "model_sha256" in parent else ""
        branch = tree.add(f"{role}: {parent_name(parent)}{weights}")
        own = parent.get("lineage") or {}
        if "dataset" in own:
            branch.add(f"dataset: {own['dataset'].get('name')} {own['dataset'].get('version')}")
        _add_parents(branch, own)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
