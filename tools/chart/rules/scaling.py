"""Rules on numbers of replicas: who decides them, and what a drain of nodes may take away."""

from collections.abc import Iterator

from tools.chart.manifests import Finding, Manifest, Rendering, Workload, matches, named, walk

SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
SAFE_FALLBACKS = ("currentReplicas", "currentReplicasIfHigher")


def one_scaler(rendering: Rendering) -> Iterator[Finding]:
    """A workload has one autoscaler at most, an HPA or KEDA's, and it names a workload that exists."""
    seen: dict[str, str] = {}
    for scaler in rendering.of(*SCALERS):
        target = scale_target(scaler)
        if target not in {workload.where for workload in rendering.serving}:
            yield Finding(named(scaler), f"scales {target}, which does not exist")
        if target in seen:
            yield Finding(named(scaler), f"scales {target}, which {seen[target]} scales already")
        seen[target] = named(scaler)


def replicas_left_out(rendering: Rendering) -> Iterator[Finding]:
    """`replicas` is left out where an autoscaler decides, and is there where none does."""
    scaled = {scale_target(scaler) for scaler in rendering.of(*SCALERS)}
    for workload in rendering.serving:
        given = "replicas" in walk(workload.manifest, "spec")
        if given and workload.where in scaled:
            yield Finding(workload.where, "sets replicas: every upgrade would undo what the autoscaler did")
        if not given and workload.where not in scaled and workload.kind != "DaemonSet":
            yield Finding(workload.where, "sets no replicas, and nothing scales it")


def scale_down_slowly(rendering: Rendering) -> Iterator[Finding]:
    """Replicas are added faster than they are taken away, and at least five minutes' load decides the latter."""
    for scaler in rendering.of(*SCALERS):
        spec = walk(scaler, "spec")
        hpa = spec if scaler["kind"] == SCALERS[0] else walk(spec, "advanced", "horizontalPodAutoscalerConfig")
        up = walk(hpa, "behavior", "scaleUp").get("stabilizationWindowSeconds", 0)
        down = walk(hpa, "behavior", "scaleDown").get("stabilizationWindowSeconds", 300)
        if down < max(300, up + 1):
            yield Finding(named(scaler), f"scales up after {up} s of load, down after {down} s")


def keda_falls_back(rendering: Rendering) -> Iterator[Finding]:
    """KEDA is told how many replicas to keep when Prometheus does not answer, and never scales to none by itself."""
    for scaler in rendering.of("ScaledObject"):
        asks = {trigger["type"] for trigger in walk(scaler, "spec").get("triggers") or ()} - {"cpu", "memory"}
        if asks and not walk(scaler, "spec", "fallback").get("replicas"):
            yield Finding(named(scaler), "has no fallback.replicas")
        if asks and walk(scaler, "spec", "fallback").get("behavior") not in SAFE_FALLBACKS:
            yield Finding(named(scaler), "loses replicas when Prometheus does not answer")
        if walk(scaler, "spec").get("minReplicaCount", 0) < 1:
            yield Finding(named(scaler), "scales to none: the first caller would wait for a model to load")


def disruption_budgets(rendering: Rendering) -> Iterator[Finding]:
    """A budget takes one workload's pods, of which there are two or more; every such workload has one."""
    covered: set[str] = set()
    for budget in rendering.of("PodDisruptionBudget"):
        taken = [item for item in rendering.serving if matches(walk(budget, "spec", "selector"), item.labels)]
        if len(taken) != 1:
            yield Finding(named(budget), f"takes the pods of {len(taken)} workloads")
        for workload in taken:
            covered.add(workload.where)
            if message := _blocks(walk(budget, "spec"), least_replicas(rendering, workload)):
                yield Finding(named(budget), message)
    for workload in rendering.serving:
        if workload.where not in covered and least_replicas(rendering, workload) > 1:
            yield Finding(workload.where, "has several replicas and no PodDisruptionBudget")


def spread(rendering: Rendering) -> Iterator[Finding]:
    """Workloads of several replicas spread over nodes, and constraints count the workload's own pods."""
    for workload in rendering.serving:
        constraints = workload.pod.get("topologySpreadConstraints") or ()
        keys = {item["topologyKey"] for item in constraints}
        if least_replicas(rendering, workload) > 1 and "kubernetes.io/hostname" not in keys:
            yield Finding(workload.where, "has several replicas that may all share a node")
        for item in constraints:
            if not item.get("labelSelector") or not matches(item["labelSelector"], workload.labels):
                yield Finding(workload.where, f"its spread over {item['topologyKey']} does not count its own pods")


def least_replicas(rendering: Rendering, workload: Workload) -> int:
    """Returns the fewest replicas that the workload is scaled to."""
    for scaler in rendering.of(*SCALERS):
        if scale_target(scaler) == workload.where:
            spec = walk(scaler, "spec")
            return int(spec.get("minReplicas", spec.get("minReplicaCount", 1)))
    return int(walk(workload.manifest, "spec").get("replicas", 1))


def scale_target(scaler: Manifest) -> str:
    """Returns what a scaler scales, as findings name it."""
    target = walk(scaler, "spec", "scaleTargetRef")
    return f"{target.get('kind', 'Deployment')}/{target['name']}"


def _blocks(budget: Manifest, replicas: int) -> str | None:
    if replicas < 2:
        return "guards a single replica: a drain of its node would wait for ever, or mean nothing"
    if budget.get("maxUnavailable") in (0, "0%"):
        return "lets nothing go: a drain of a node would wait for ever"
    least = budget.get("minAvailable")
    if least == "100%" or (isinstance(least, int) and least >= replicas):
        return f"wants {least} of {replicas} replicas: a drain of a node would wait for ever"
    return None
