"""Rules on what Prometheus is told to watch."""

import re
from collections.abc import Iterator

from tools.chart.manifests import Finding, Manifest, Rendering, Workload, named, walk
from tools.dashboards.queries import metrics

LAY_OUT = "lay-out"
FIXED_ARGS = 6
"""Arguments of the container that lays a repository out, before the five of each version."""
FIELDS = 5
VERSIONS, POOLS = "TriptychModelVersionMissing", "TriptychPoolAway"


def only_served_versions_are_missed(rendering: Rendering) -> Iterator[Finding]:
    """Where every pool lists what it serves, no other version is told to be missing."""
    listed = [_listed(pool) for pool in _pools(rendering)]
    for manifest, expression in _alerts(rendering, VERSIONS):
        if any(versions is None for versions in listed):
            continue
        if re.search(r'triptych_model_version_ready(\{namespace="[^"]*"\})?\)', expression):
            yield Finding(named(manifest), f"{VERSIONS} watches every published version")
        for model, version in sorted({pair for versions in listed for pair in versions or ()}):
            if f'model="{model}",version="{version}"}}' not in expression:
                yield Finding(named(manifest), f"{VERSIONS} does not watch {model} version {version}")


def every_pool_is_missed(rendering: Rendering) -> Iterator[Finding]:
    """Where there are alerts, one tells of each pool of Triton servers that is away, however many others are there."""
    for manifest, expression in _alerts(rendering, POOLS):
        watched = re.findall(r'pod=~"([^"]+)"', expression)
        for pool in _pools(rendering):
            if not any(re.fullmatch(pods, f"{pool.name}-6d4cf56db6-x2x9k") for pods in watched):
                yield Finding(named(manifest), f"{POOLS} does not watch {pool.where}")


def own_namespace_is_watched(rendering: Rendering) -> Iterator[Finding]:
    """Where Prometheus is given rules, they read the release's own namespace alone: two releases tell nothing twice."""
    own = re.compile(rf'[\w:]+\{{namespace="{rendering.namespace}"[^}}]*\}}')
    for manifest, rule in _rules(rendering):
        for name in sorted(metrics(own.sub("", rule["expr"]))):
            where = f"{named(manifest)}/{rule.get('alert') or rule['record']}"
            yield Finding(where, f"reads {name} of every namespace")


def _pools(rendering: Rendering) -> list[Workload]:
    return [workload for workload in rendering.serving if workload.component.startswith("triton")]


def _alerts(rendering: Rendering, name: str) -> Iterator[tuple[Manifest, str]]:
    for manifest, rule in _rules(rendering):
        if rule.get("alert") == name:
            yield manifest, rule["expr"]


def _rules(rendering: Rendering) -> Iterator[tuple[Manifest, Manifest]]:
    for manifest in rendering.of("PrometheusRule"):
        for group in walk(manifest, "spec").get("groups") or ():
            yield from ((manifest, rule) for rule in group["rules"])


def _listed(pool: Workload) -> list[tuple[str, str]] | None:
    """Returns model and version of what a pool lays out; None when it serves the store as it is."""
    for container in pool.all_containers:
        if container["name"] == LAY_OUT:
            words = container["args"][FIXED_ARGS:]
            return list(zip(words[::FIELDS], words[1::FIELDS], strict=True))
    return None
