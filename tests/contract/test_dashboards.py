"""Grafana's dashboards, as files: what a person sees is complete, and nothing lies upon another."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tools.dashboards.pages import FILES, FOLDER, outdated
from tools.dashboards.queries import expressions, filled, metrics, of_dashboard, of_rules

ROOT = Path(__file__).parents[2]
RULES = sorted((FILES / "rules").glob("*.yaml"))
PAGES = sorted(FOLDER.glob("*.json"))
every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def _page(path: Path) -> dict[str, Any]:
    page: dict[str, Any] = json.loads(path.read_text())
    return page


def _panels(path: Path) -> list[dict[str, Any]]:
    return [panel for panel in _page(path)["panels"] if panel["type"] != "row"]


def test_the_files_are_what_python_says() -> None:
    """None is outdated, missing, or left over."""
    assert [] == outdated()


@every_page
def test_every_panel_explains_itself(path: Path) -> None:
    """Each has a title, a description that is a sentence, a unit, and a query with a name for its series."""
    incomplete = [
        panel["title"]
        for panel in _panels(path)
        if not panel["description"].endswith(".")
        or not panel["fieldConfig"]["defaults"]["unit"]
        or not all(target["expr"] and target["legendFormat"] for target in panel["targets"])
    ]

    assert [] == incomplete


@every_page
def test_titles_tell_panels_apart(path: Path) -> None:
    """No two panels of a page have one title or one number."""
    panels = _panels(path)

    assert len(panels) == len({panel["title"] for panel in panels})
    assert len(_page(path)["panels"]) == len({panel["id"] for panel in _page(path)["panels"]})


@every_page
def test_panels_do_not_overlap(path: Path) -> None:
    """Each cell of the grid belongs to one panel at most, and none lies outside."""
    boxes = [panel["gridPos"] for panel in _page(path)["panels"]]
    cells = [
        (x, y)
        for box in boxes
        for x in range(box["x"], box["x"] + box["w"])
        for y in range(box["y"], box["y"] + box["h"])
    ]

    assert (len(set(cells)), True) == (len(cells), all(x < 24 for x, _ in cells))


@every_page
def test_variables_are_declared_and_used(path: Path) -> None:
    """A page asks for what its panels need, and for nothing else."""
    page = _page(path)
    used = set(re.findall(r"\$\{?([a-z]+)", json.dumps(page["panels"])))

    assert {variable["name"] for variable in page["templating"]["list"]} == used


def test_names_of_metrics_are_found_in_expressions() -> None:
    """Neither functions nor labels nor values are taken for metrics."""
    expr = 'sum by (g_c, le) (rate(a_total{b_c=~"d_e|$job",f="g_h"}[1m])) / on (i_j) group_left (k_l) n:m:n_5m or up_x'

    assert {"a_total", "n:m:n_5m", "up_x"} == metrics(filled(expr))


def test_a_variable_that_nobody_fills_in_is_an_error() -> None:
    """A query with it would be proved for nothing."""
    with pytest.raises(ValueError, match="unknown variable"):
        filled("rate(a_total[$__range])")


@pytest.mark.parametrize("path", [*PAGES, *RULES], ids=lambda path: path.stem)
def test_what_is_asked_for_is_documented(path: Path) -> None:
    """Each metric that a panel or a rule reads has its line in docs/metrics.md, or is recorded by a rule."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    documented = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) | {"up", "ALERTS"}
    recorded = {asked.expr for rules in RULES for asked in of_rules(rules)}
    exprs = expressions(path) if path in RULES else (asked.expr for asked in of_dashboard(path))
    read = {name for expr in exprs for name in metrics(expr) if not name.startswith("process_")}
    known = documented | recorded | {f"{name}_{part}" for name in documented for part in ("bucket", "sum", "count")}

    assert set() == read - known
