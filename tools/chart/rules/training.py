"""Rules on Indexed Jobs, whose pods work together: they meet, and when one of them is killed they go on."""

from collections.abc import Iterator

from tools.chart.manifests import Finding, Manifest, Rendering, Workload, matches, walk


def workers_meet(rendering: Rendering) -> Iterator[Finding]:
    """Workers that train together all run at once, and meet at worker 0, whose name is known before it is ready."""
    for workload in _trainings(rendering):
        spec, service = walk(workload.manifest, "spec"), _service(rendering, workload)
        if spec.get("parallelism") != spec.get("completions"):
            yield Finding(workload.where, "does not run all of its workers at once")
        if not service:
            yield Finding(workload.where, "no headless Service gives its workers names")
        elif not walk(service, "spec").get("publishNotReadyAddresses"):
            yield Finding(workload.where, "its workers have names only once they are ready")
        for flag, value in {
            "--nnodes": str(spec.get("completions")),
            "--node-rank": "$(JOB_COMPLETION_INDEX)",
            "--master-addr": f"{workload.name}-0.{workload.pod.get('subdomain')}",
        }.items():
            if f"{flag}={value}" not in _words(workload):
                yield Finding(workload.where, f"is started without {flag}={value}")


def workers_go_on(rendering: Rendering) -> Iterator[Finding]:
    """A worker that is killed comes again, a drained node counts as no failure, and checkpoints are on a claim."""
    for workload in _trainings(rendering):
        spec = walk(workload.manifest, "spec")
        if not spec.get("backoffLimitPerIndex"):
            yield Finding(workload.where, "does not let each worker fail and come again")
        rules = walk(spec, "podFailurePolicy").get("rules") or ()
        drained = [rule for rule in rules if {"type": "DisruptionTarget", "status": "True"} in _conditions(rule)]
        if [rule["action"] for rule in drained] != ["Ignore"]:
            yield Finding(workload.where, "counts a drained node as a failure")
        if "--resume" not in _words(workload):
            yield Finding(workload.where, "begins anew each time")
        kept = {item["name"] for item in workload.pod.get("volumes") or () if "persistentVolumeClaim" in item}
        writable = [mount for mount in _mounts(workload) if mount["name"] in kept and not mount.get("readOnly")]
        if not any(f"--runs={mount['mountPath']}" in _words(workload) for mount in writable):
            yield Finding(workload.where, "keeps its checkpoints on no claim that it may write to")


def _trainings(rendering: Rendering) -> list[Workload]:
    return [workload for workload in rendering.workloads if workload.indexed]


def _service(rendering: Rendering, workload: Workload) -> Manifest | None:
    """Returns the headless Service after which the workers' names go."""
    for item in rendering.of("Service"):
        headless = walk(item, "spec").get("clusterIP") == "None"
        if headless and item["metadata"]["name"] == workload.pod.get("subdomain"):
            return item if matches({"matchLabels": walk(item, "spec", "selector")}, workload.labels) else None
    return None


def _words(workload: Workload) -> list[str]:
    return [word for container in workload.containers for word in container.get("args") or ()]


def _mounts(workload: Workload) -> list[Manifest]:
    return [mount for container in workload.containers for mount in container.get("volumeMounts") or ()]


def _conditions(rule: Manifest) -> list[Manifest]:
    return list(rule.get("onPodConditions") or ())
