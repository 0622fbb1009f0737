"""Writes `helm/triptych/files/rules/slo.yaml`: the service levels, and alerts on how fast their budgets burn.

Run by `make gen`; `--check` fails when the file differs.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).parents[1] / "helm" / "triptych" / "files" / "rules"
PAGE = RULES / "slo.yaml"
HEAD = """# Written by `make gen` from tools/slo_rules.py: the objectives stand there.
#
# A ratio is the share of requests that were bad, over each window. An alert wants it high over a long window, so that
# it matters, and over a short one, so that it ends soon after its cause did. Budgets are for 30 days. Where it says
# namespace=~".*" the chart puts the release's own.
"""
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
OURS = 'code=~"INTERNAL|UNKNOWN|UNAVAILABLE|DATA_LOSS|DEADLINE_EXCEEDED",reason!="DEADLINE_SHORT"'
"""Ends that are the service's fault; who gives less time than the latency objective allows has himself to blame."""
RUNBOOK = "docs/runbook.md#"
ANY = 'namespace=~".*"'
"""Stands in every selector, for the chart to replace."""


@dataclass(frozen=True, slots=True)
class Burn:
    """Is one pair of windows, and how many times too fast the budget burns when it speaks up."""

    factor: float
    long: str
    short: str
    severity: str
    lasting: str
    """In what time the whole budget is gone at this rate."""


BURNS = (
    Burn(14.4, "1h", "5m", "page", "2 days"),
    Burn(6, "6h", "30m", "page", "5 days"),
    Burn(3, "1d", "2h", "ticket", "10 days"),
    Burn(1, "3d", "6h", "ticket", "30 days"),
)


@dataclass(frozen=True, slots=True)
class Objective:
    """Is one service level: at most `budget` of all requests may be bad."""

    name: str
    alert: str
    budget: float
    bad: str
    """Expression with `{window}`, summed by namespace."""
    all: str
    what: str
    """Ends the sentence `... of the requests ...`."""


def _rate(metric: str, *matchers: str) -> str:
    return f"sum by (namespace) (rate({metric}{{{','.join([ANY, *matchers])}}}[{{window}}]))"


OK = 'outcome="ok"'
ALL = _rate("triptych_requests_total")
ANSWERED = _rate("triptych_request_seconds_count", OK)
OBJECTIVES = (
    Objective(
        "errors",
        "TriptychErrorBudgetBurn",
        0.001,
        _rate("triptych_requests_total", OURS),
        ALL,
        "failed through the service's fault",
    ),
    Objective(
        "slow",
        "TriptychLatencyBudgetBurn",
        0.01,
        ANSWERED + " - " + _rate("triptych_request_seconds_bucket", OK, 'le="0.5"'),
        ANSWERED,
        "took longer than 500 ms",
    ),
    Objective(
        "shed",
        "TriptychShedBudgetBurn",
        0.01,
        _rate("triptych_requests_total", 'code="RESOURCE_EXHAUSTED"'),
        ALL,
        "were refused for lack of room",
    ),
)


def series(objective: Objective, window: str) -> str:
    """Returns the name under which the share of bad requests is recorded."""
    return f"namespace:triptych_requests:{objective.name}_ratio_rate{window}"


def recordings(objective: Objective) -> Iterator[dict[str, Any]]:
    """Yields the share of bad requests over each window; none are 0, where there are requests at all."""
    for window in WINDOWS:
        bad, total = (text.replace("{window}", window) for text in (objective.bad, objective.all))
        yield {"record": series(objective, window), "expr": f"(\n  ({bad})\n  or\n  0 * {total}\n)\n/\n{total}"}


def alerts(objective: Objective) -> Iterator[dict[str, Any]]:
    """Yields an alert for each pair of windows."""
    for burn in BURNS:
        limit = f"{burn.factor:g} * {objective.budget:g}"
        long, short = (f"{series(objective, window)}{{{ANY}}}" for window in (burn.long, burn.short))
        yield {
            "alert": objective.alert,
            "expr": f"{long} > {limit}\nand\n{short} > {limit}",
            "labels": {"severity": burn.severity, "window": burn.long},
            "annotations": {
                "summary": f"In {{{{ $labels.namespace }}}}, too many requests {objective.what}.",
                "description": f"{{{{ $value | humanizePercentage }}}} of the requests of the last {burn.long} "
                f"{objective.what}; {objective.budget:.1%} may. At this rate or a higher one, "
                f"the budget of 30 days lasts {burn.lasting} at most.",
                "runbook_url": RUNBOOK + objective.alert.lower(),
            },
        }


def page() -> str:
    """Returns the whole file."""
    groups = [{"name": f"triptych-slo-{each.name}", "rules": [*recordings(each), *alerts(each)]} for each in OBJECTIVES]
    return HEAD + yaml.dump({"groups": groups}, sort_keys=False, width=118, Dumper=_Dumper)


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def main() -> int:
    """Writes or checks the file; returns the exit code."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
        return 0
    if PAGE.read_text() == page():
        return 0
    sys.stderr.write("helm/triptych/files/rules/slo.yaml is not up to date: run `make gen`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
