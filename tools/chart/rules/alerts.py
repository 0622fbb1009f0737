"""Rules on what Prometheus is told to watch."""

from collections.abc import Iterator

from tools.chart.manifests import Finding, Manifest, Rendering, Workload, named, walk

LAY_OUT = "lay-out"
FIXED_ARGS = 6
"""Arguments of the container that lays a repository out, before the five of each version."""
FIELDS = 5
ALERT = "TriptychModelVersionMissing"


def only_served_versions_are_missed(rendering: Rendering) -> Iterator[Finding]:
    """Where every pool lists what it serves, no other version is told to be missing."""
    pools = [workload for workload in rendering.serving if workload.component.startswith("triton")]
    listed = [_listed(pool) for pool in pools]
    for manifest, expression in _alerts(rendering):
        if any(versions is None for versions in listed):
            continue
        if "triptych_model_version_ready)" in expression:
            yield Finding(named(manifest), f"{ALERT} watches every published version")
        for model, version in sorted({pair for versions in listed for pair in versions or ()}):
            if f'{{model="{model}",version="{version}"}}' not in expression:
                yield Finding(named(manifest), f"{ALERT} does not watch {model} version {version}")


def _alerts(rendering: Rendering) -> Iterator[tuple[Manifest, str]]:
    for manifest in rendering.of("PrometheusRule"):
        for group in walk(manifest, "spec").get("groups") or ():
            for rule in group["rules"]:
                if rule.get("alert") == ALERT:
                    yield manifest, rule["expr"]


def _listed(pool: Workload) -> list[tuple[str, str]] | None:
    """Returns model and version of what a pool lays out; None when it serves the store as it is."""
    for container in pool.all_containers:
        if container["name"] == LAY_OUT:
            words = container["args"][FIXED_ARGS:]
            return list(zip(words[::FIELDS], words[1::FIELDS], strict=True))
    return None
