"""Rules on what a container may use."""

from collections.abc import Iterator

from tools.chart.manifests import Finding, Manifest, Rendering, in_container, walk


def resources_set(rendering: Rendering) -> Iterator[Finding]:
    """Every container requests CPU and memory, and its memory is limited."""
    for workload in rendering.workloads:
        for container in workload.all_containers:
            for message in _missing(container):
                yield Finding(in_container(workload, container), message)


def accelerators_agree(rendering: Rendering) -> Iterator[Finding]:
    """A GPU is asked for once: as a device or as a claim, and requests equal limits."""
    for workload in rendering.workloads:
        for container in workload.all_containers:
            limits = _devices(walk(container, "resources", "limits"))
            requests = _devices(walk(container, "resources", "requests"))
            if requests and requests != limits:
                yield Finding(in_container(workload, container), f"requests {requests} but is limited to {limits}")
            if limits and walk(container, "resources").get("claims"):
                yield Finding(in_container(workload, container), "asks for a GPU both as a device and as a claim")
            if len(limits) > 1:
                yield Finding(in_container(workload, container), f"asks for several kinds of device: {limits}")


def claims_declared(rendering: Rendering) -> Iterator[Finding]:
    """Every claim of a container is declared by its pod, and its template is rendered."""
    templates = {item["metadata"]["name"] for item in rendering.of("ResourceClaimTemplate")}
    for workload in rendering.workloads:
        declared = {item["name"]: item for item in workload.pod.get("resourceClaims") or ()}
        for container in workload.all_containers:
            for claim in walk(container, "resources").get("claims") or ():
                if claim["name"] not in declared:
                    yield Finding(
                        in_container(workload, container), f"uses the claim {claim['name']!r}, which the pod lacks"
                    )
        for name, claim in declared.items():
            template = claim.get("resourceClaimTemplateName")
            if template and template not in templates:
                yield Finding(workload.where, f"the claim {name!r} is made from {template!r}, which does not exist")


def _devices(quantities: Manifest) -> dict[str, str]:
    return {key: str(value) for key, value in quantities.items() if "/" in key}


def _missing(container: Manifest) -> Iterator[str]:
    requests, limits = walk(container, "resources", "requests"), walk(container, "resources", "limits")
    for resource in ("cpu", "memory"):
        if resource not in requests:
            yield f"requests no {resource}"
    if "memory" not in limits:
        yield "has no limit of memory"
