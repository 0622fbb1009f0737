"""Rules on what a pod may do: the Pod Security Standard "restricted", and more."""

from collections.abc import Iterator

from tools.chart.manifests import Finding, Manifest, Rendering, Workload, in_container, walk
from tools.chart.rules.experiments import kept_in

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
"""Kinds of volume that "restricted" allows; an image volume is read-only by its nature."""
HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC")
SECCOMP = {"RuntimeDefault", "Localhost"}


def restricted(rendering: Rendering) -> Iterator[Finding]:
    """Pods meet the Pod Security Standard "restricted"."""
    for workload in rendering.workloads:
        yield from _pod(workload, allow_host_path=from_host(rendering))
        for container in workload.all_containers:
            for message in _container(workload, container):
                yield Finding(in_container(workload, container), message)


def read_only_root(rendering: Rendering) -> Iterator[Finding]:
    """Every container's root file system is read-only."""
    for workload in rendering.workloads:
        for container in workload.all_containers:
            if walk(container, "securityContext").get("readOnlyRootFilesystem") is not True:
                yield Finding(in_container(workload, container), "may write to its root file system")


def no_token(rendering: Rendering) -> Iterator[Finding]:
    """No pod gets a token for the Kubernetes API."""
    for workload in rendering.workloads:
        if workload.pod.get("automountServiceAccountToken") is not False:
            yield Finding(workload.where, "mounts a token for the Kubernetes API")


def bounded_scratch(rendering: Rendering) -> Iterator[Finding]:
    """Every emptyDir has a size limit."""
    for workload in rendering.workloads:
        for volume in workload.pod.get("volumes") or ():
            if "emptyDir" in volume and not walk(volume, "emptyDir").get("sizeLimit"):
                yield Finding(workload.where, f"the emptyDir {volume['name']!r} has no sizeLimit")


def read_only_models(rendering: Rendering) -> Iterator[Finding]:
    """Serving containers mount nothing writable but scratch space, memory, and the folder of what experiments keep."""
    for workload in rendering.serving:
        scratch = {item["name"] for item in workload.pod.get("volumes") or () if "emptyDir" in item}
        for container in workload.containers:
            for mount in container.get("volumeMounts") or ():
                kept = mount["name"] in workload.claims and mount["mountPath"] == kept_in(container)
                writable = mount.get("readOnly") is not True and not kept
                if writable and (mount["name"] not in scratch or mount["mountPath"].rstrip("/") == "/models"):
                    yield Finding(in_container(workload, container), f"mounts {mount['mountPath']} writable")


def from_host(rendering: Rendering) -> bool:
    """Returns whether the values ask for models from the node's disk, which is for a developer's single node."""
    return walk(rendering.values, "modelStore").get("type") == "hostPath"


def _pod(workload: Workload, *, allow_host_path: bool) -> Iterator[Finding]:
    for field in HOST_FIELDS:
        if workload.pod.get(field):
            yield Finding(workload.where, f"{field} is set")
    for volume in workload.pod.get("volumes") or ():
        kinds = set(volume) - {"name"} - VOLUMES - ({"hostPath"} if allow_host_path else set())
        if kinds:
            yield Finding(workload.where, f"the volume {volume['name']!r} is of the kind {kinds.pop()}")


def _container(workload: Workload, container: Manifest) -> Iterator[str]:
    pod, own = walk(workload.pod, "securityContext"), walk(container, "securityContext")
    if own.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if own.get("privileged"):
        yield "is privileged"
    if "ALL" not in (walk(own, "capabilities").get("drop") or ()):
        yield "keeps capabilities"
    if walk(own, "capabilities").get("add"):
        yield "adds capabilities"
    if {**pod, **own}.get("runAsNonRoot") is not True:
        yield "may run as root"
    if {**pod, **own}.get("runAsUser") in (None, 0):
        yield "names no user other than root"
    if walk({**pod, **own}, "seccompProfile").get("type") not in SECCOMP:
        yield "has no seccomp profile"
    if any("hostPort" in port for port in container.get("ports") or ()):
        yield "opens a port of the node"
