"""Rules on the experiments service, the one tier that keeps something, and on who may tell it what to do."""

from collections.abc import Iterator

from tools.chart.manifests import (
    Finding,
    Manifest,
    Rendering,
    Workload,
    environment,
    in_container,
    process_of,
    variable_names,
    walk,
)

EXPERIMENTS = "experiments"
DATABASE = {"TRIPTYCH_DATABASE_URL", "TRIPTYCH_DATABASE_URL_FILE"}


def kept_in(container: Manifest) -> str | None:
    """Returns the folder in which the process keeps what it is told; None where it keeps nothing."""
    return environment(container).get("TRIPTYCH_DATA_DIR") if process_of(container) == EXPERIMENTS else None


def journals_are_apart(rendering: Rendering) -> Iterator[Finding]:
    """Each replica of the experiments service has a volume of its own, and several share one database."""
    for workload, container in _keeping(rendering):
        if workload.kind != "StatefulSet":
            yield Finding(workload.where, "is no StatefulSet: its replicas would share their volume, or lose it")
        replicas = walk(workload.manifest, "spec").get("replicas", 1)
        if replicas > 1 and not DATABASE & set(variable_names(container)):
            yield Finding(workload.where, f"each of its {replicas} replicas keeps a database of its own")


def evidence_stays(rendering: Rendering) -> Iterator[Finding]:
    """What the experiments service keeps is on a claim, unless the values do without."""
    wanted = walk(rendering.values, EXPERIMENTS, "persistence").get("enabled", True)
    for workload, container in _keeping(rendering):
        mounted = {item["mountPath"]: item["name"] for item in container.get("volumeMounts") or ()}
        name = mounted.get(kept_in(container) or "")
        if name is None:
            yield Finding(in_container(workload, container), f"mounts no volume at {kept_in(container)}")
        elif wanted != (name in workload.claims):
            yield Finding(workload.where, "keeps its volume" if not wanted else f"makes no claim for {name!r}")


def only_admins_change_experiments(rendering: Rendering) -> Iterator[Finding]:
    """Callers of the gateway may change experiments only where the values say so, and that is said to the process."""
    allowed = str(bool(walk(rendering.values, EXPERIMENTS).get("admin"))).lower()
    for workload in rendering.serving:
        for container in workload.containers:
            given = environment(container)
            if "TRIPTYCH_EXPERIMENTS_TARGET" in given and given.get("TRIPTYCH_EXPERIMENTS_ADMIN") != allowed:
                told = given.get("TRIPTYCH_EXPERIMENTS_ADMIN")
                yield Finding(in_container(workload, container), f"TRIPTYCH_EXPERIMENTS_ADMIN is {told}, not {allowed}")


def _keeping(rendering: Rendering) -> Iterator[tuple[Workload, Manifest]]:
    for workload in rendering.serving:
        for container in workload.containers:
            if process_of(container) == EXPERIMENTS:
                yield workload, container
