"""Turns rendered objects into pods that podman runs, changing only what podman does not know.

- A Deployment or a StatefulSet becomes one pod of its template.
- A Service becomes names under which its pods are known on the network, as a headless Service makes them known.
- Every emptyDir, and every volume that a claim would be made for, becomes a folder of this machine that all may write
  to: podman knows no `fsGroup`.
- What would always be restarted is so after a failure only: podman 4 begins init containers that ended well anew, too.
- Probes are left out, since podman 4 knows neither gRPC nor startup probes. Who plays the pods asks what they ask.
- Ports are left out: podman 4 would take the same ones of this machine, for every pod. Nothing else depends on them.
- All other kinds are for a cluster only; ConfigMaps that a pod mounts go with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.chart.manifests import Manifest, Rendering, Workload, matches, walk

KEPT = {"io.podman.annotations.init.container.type": "always"}
"""Keeps init containers that have ended; otherwise podman 4 tries to remove them while they still end, and fails."""
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


@dataclass(frozen=True)
class PlayedPod:
    """Is one pod as podman gets it."""

    name: str
    documents: Sequence[Manifest]
    """The pod, after the ConfigMaps that it mounts."""
    aliases: Sequence[str]
    """Names under which others find it: those of the Services that lead to it."""
    readiness: Sequence[tuple[int, str]]
    """Port and service that each of its containers' readinessProbes asks over gRPC."""


def played(rendering: Rendering, workload: Workload, scratch: Path) -> PlayedPod:
    """Returns a workload's pod as podman runs it."""
    spec = dict(workload.pod)
    claimed = [{"name": name, "emptyDir": {}} for name in workload.claims]
    spec["volumes"] = [_volume(each, scratch / workload.name) for each in [*(spec.get("volumes") or ()), *claimed]]
    if spec.get("restartPolicy", "Always") == "Always":
        spec["restartPolicy"] = "OnFailure"
    for key in ("initContainers", "containers"):
        spec[key] = [_container(container) for container in spec.get(key) or ()]
    metadata = {"name": workload.name, "labels": dict(workload.labels), "annotations": KEPT}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    mounted = {walk(volume, "configMap").get("name") for volume in spec["volumes"]}
    maps = [item for item in rendering.of("ConfigMap") if item["metadata"]["name"] in mounted]
    aliases = [item["metadata"]["name"] for item in rendering.of("Service") if _leads_to(item, workload)]
    return PlayedPod(workload.name, [*maps, pod], aliases, list(_asked(workload)))


def _volume(volume: Manifest, folder: Path) -> dict[str, Any]:
    if "emptyDir" not in volume:
        return dict(volume)
    place = folder / str(volume["name"])
    place.mkdir(parents=True)
    place.chmod(0o777)  # as `fsGroup` would let the pod's group write
    return {"name": volume["name"], "hostPath": {"path": str(place), "type": "Directory"}}


def _container(container: Manifest) -> dict[str, Any]:
    return {key: value for key, value in container.items() if key not in (*PROBES, "lifecycle", "ports")}


def _leads_to(service: Manifest, workload: Workload) -> bool:
    selector = walk(service, "spec", "selector")
    return bool(selector) and matches({"matchLabels": selector}, workload.labels)


def _asked(workload: Workload) -> Iterator[tuple[int, str]]:
    for container in workload.containers:
        if probe := walk(container, "readinessProbe", "grpc"):
            yield int(probe["port"]), str(probe.get("service", ""))
