"""Writes what the auditor found as a page for people who run clusters."""

from collections.abc import Iterator, Sequence

from tools.chart.audit import Verdict
from tools.chart.manifests import Rendering
from tools.chart.reachability import enforced, matrix
from tools.chart.rules.lifecycle import budgets
from tools.chart.schemas import VERSIONS, needs

HEAD = """# What the chart promises, checked

Written by `make check-chart ARGS=--write`; `make check-chart` fails when this page is not what it finds. Every scenario
of `helm/triptych/ci/` and the bare defaults are rendered with Helm, and each rule below is held against the objects
that come out. No cluster takes part: what one adds (admission, a network plugin that enforces policies) is not proved.
"""


def page(renderings: Sequence[Rendering], verdicts: Sequence[Verdict]) -> str:
    """Returns the whole page."""
    return (
        "\n".join([HEAD, *_scenarios(renderings), *_rules(verdicts), *_drains(renderings), *_matrices(renderings)])
        + "\n"
    )


def _scenarios(renderings: Sequence[Rendering]) -> Iterator[str]:
    yield "## Scenarios\n"
    yield f"Each is rendered anew for Kubernetes {', '.join(VERSIONS)}, whose own schemas take every object."
    yield "Dynamic resource allocation and image volumes are refused before 1.33; from there to the version in the last"
    yield "column, the cluster has to switch them on.\n"
    yield "| scenario | objects | workloads | Kubernetes that needs no switch |\n| --- | --- | --- | --- |"
    for item in renderings:
        names = ", ".join(f"`{workload.name}`" for workload in item.serving)
        yield f"| {item.scenario} | {len(item.objects)} | {names} | {needs(item)} |"


def _rules(verdicts: Sequence[Verdict]) -> Iterator[str]:
    for heading in dict.fromkeys(verdict.heading for verdict in verdicts):
        yield f"\n## {heading}\n"
        yield "| rule | holds in |\n| --- | --- |"
        chosen = [verdict for verdict in verdicts if verdict.heading == heading]
        for statement in dict.fromkeys(verdict.statement for verdict in chosen):
            yield f"| {statement} | {_where([item for item in chosen if item.statement == statement])} |"


def _where(verdicts: Sequence[Verdict]) -> str:
    broken = [verdict for verdict in verdicts if verdict.findings]
    if not broken:
        exempt = ", ".join(verdict.scenario for verdict in verdicts if verdict.exempt)
        return f"every scenario but {exempt}" if exempt else "every scenario"
    return "**broken**: " + "; ".join(f"{verdict.scenario} ({len(verdict.findings)})" for verdict in broken)


def _drains(renderings: Sequence[Rendering]) -> Iterator[str]:
    yield "\n## Time to leave\n"
    yield "Seconds, in the default scenario: preStop + draining + margin is never more than the grace period.\n"
    yield "| workload | preStop | draining | grace period | left over |\n| --- | --- | --- | --- | --- |"
    for item in budgets(renderings[0]):
        left = item.grace - item.pause - item.drain
        yield f"| `{item.name}` | {item.pause:g} | {item.drain:g} | {item.grace:g} | {left:g} |"


def _matrices(renderings: Sequence[Rendering]) -> Iterator[str]:
    yield "\n## Who reaches whom\n"
    yield "TCP ports (53 is also UDP) that the rendered NetworkPolicies leave open; what is not listed is refused."
    yield "Workers that train together listen on ports that the kernel chooses: 1024 and 65535 stand for all between."
    yield "Probes come from the pod's own node, which policies do not stop. Scenarios with the same matrix share it."
    shared: dict[str, list[str]] = {}
    for item in renderings:
        shared.setdefault("\n".join(_matrix(item)), []).append(item.scenario)
    for text, scenarios in shared.items():
        yield f"\n### {', '.join(scenarios)}\n"
        yield text


def _matrix(rendering: Rendering) -> Iterator[str]:
    if not enforced(rendering):
        yield "The values switch policies off: everybody reaches every port."
        return
    yield "| from | to: ports |\n| --- | --- |"
    cells = matrix(rendering)
    for source in dict.fromkeys(source for source, _ in cells):
        targets = [f"{target}: {', '.join(map(str, ports))}" for (one, target), ports in cells.items() if one == source]
        yield f"| {source} | {'; '.join(targets)} |"
