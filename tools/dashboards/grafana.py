"""Grafana's dashboards as little Python: what a panel asks and says; the layout, ids and the rest follow from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
NAMESPACE = 'namespace=~"$namespace"'
JOB = f'{NAMESPACE},job=~"$job"'
MODEL = f'{NAMESPACE},model=~"$model"'
EVERY = "$__rate_interval"
GREEN, ORANGE, RED = "green", "orange", "red"

Thresholds = Sequence[tuple[float | None, str]]
"""Colours, each from a value on; the first has none."""


@dataclass(frozen=True, slots=True)
class Query:
    """Is one expression, and what its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """Is one panel."""

    title: str
    text: str
    """What it shows, and what to make of it."""
    queries: Sequence[Query]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    thresholds: Thresholds = ()
    """On a graph each but the first is a line."""
    stacked: bool = False
    least: float | None = 0
    most: float | None = None

    def render(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Returns Grafana's JSON."""
        heatmap = self.kind == "heatmap"
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.text,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [
                {
                    "refId": chr(ord("A") + index),
                    "datasource": SOURCE,
                    "expr": query.expr,
                    "legendFormat": query.legend or "__auto",
                    **({"instant": True, "range": False} if self.kind == "stat" else {"range": True}),
                    **({"format": "heatmap"} if heatmap else {}),
                }
                for index, query in enumerate(self.queries)
            ],
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": _OPTIONS[self.kind] | ({"yAxis": {"unit": self.unit}} if heatmap else {}),
        }

    def _defaults(self) -> dict[str, Any]:
        steps = [{"value": value, "color": colour} for value, colour in self.thresholds or [(None, GREEN)]]
        defaults: dict[str, Any] = {"unit": self.unit, "thresholds": {"mode": "absolute", "steps": steps}}
        if self.least is not None:
            defaults["min"] = self.least
        if self.most is not None:
            defaults["max"] = self.most
        if self.kind == "timeseries":
            defaults["color"] = {"mode": "palette-classic"}
            defaults["custom"] = {
                "fillOpacity": 30 if self.stacked else 8,
                "lineWidth": 1,
                "showPoints": "never",
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "dashed" if len(self.thresholds) > 1 else "off"},
            }
        else:
            defaults["color"] = {"mode": "thresholds"}
        if self.kind == "state-timeline":
            defaults["mappings"] = [{"type": "value", "options": {"0": {"text": "away"}, "1": {"text": "there"}}}]
        return defaults


_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"], "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {"colorMode": "value", "graphMode": "none", "reduceOptions": {"calcs": ["lastNotNull"]}},
    "heatmap": {"calculate": False, "color": {"scheme": "Oranges", "mode": "scheme"}, "tooltip": {"mode": "single"}},
    "state-timeline": {"showValue": "never", "mergeValues": True, "legend": {"showLegend": False}},
}


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Is one page: rows of panels, which are laid out from left to right."""

    uid: str
    title: str
    text: str
    rows: Sequence[tuple[str, Sequence[Panel]]]
    variables: Sequence[str] = ("namespace",)
    """Of those in `VARIABLES`, besides the data source."""

    def render(self) -> dict[str, Any]:
        """Returns Grafana's JSON."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.text,
            "tags": ["triptych"],
            "schemaVersion": 41,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "links": [_OTHERS],
            "annotations": {"list": []},
            "templating": {"list": [_DATASOURCE, *(_variable(name) for name in self.variables)]},
            "panels": self._laid_out(),
        }

    def _laid_out(self) -> list[dict[str, Any]]:
        placed: list[dict[str, Any]] = []
        y = 0
        for title, panels in self.rows:
            box = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
            row = {"id": len(placed) + 1, "type": "row", "title": title, "collapsed": False, "panels": []}
            placed.append({**row, "gridPos": box})
            x, y, height = 0, y + 1, 0
            for panel in panels:
                if x + panel.width > COLUMNS:
                    x, y, height = 0, y + height, 0
                placed.append(panel.render(len(placed) + 1, x, y))
                x, height = x + panel.width, max(height, panel.height)
            y += height
        return placed


_OTHERS = {"title": "Triptych", "type": "dashboards", "tags": ["triptych"], "asDropdown": True, "includeVars": True}
_DATASOURCE = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
VARIABLES = {
    "namespace": "label_values(triptych_build_info, namespace)",
    "job": 'label_values(triptych_build_info{namespace=~"$namespace"}, job)',
    "model": 'label_values(triptych_model_info{namespace=~"$namespace"}, model)',
}


def _variable(name: str) -> dict[str, Any]:
    query = VARIABLES[name]
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def rate(selector: str, *by: str) -> str:
    """Returns the sum of a counter's rates, by labels."""
    return f"sum by ({', '.join(by)}) (rate({selector}[{EVERY}]))"


def quantile(share: float, histogram: str, selector: str, *by: str) -> str:
    """Returns a quantile of a histogram, by labels."""
    return f"histogram_quantile({share:g}, {rate(f'{histogram}_bucket{{{selector}}}', *by, 'le')})"


def mean(histogram: str, selector: str, *by: str) -> str:
    """Returns the mean of a histogram, by labels."""
    total, count = (rate(f"{histogram}_{part}{{{selector}}}", *by) for part in ("sum", "count"))
    return f"{total} / {count}"


def stat(title: str, text: str, expr: str, unit: str = "short", thresholds: Thresholds = ()) -> Panel:
    """Returns a panel with one number."""
    return Panel(title, text, [Query(expr)], unit, "stat", width=4, height=4, thresholds=thresholds, least=None)
