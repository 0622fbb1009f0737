"""Rules on what refers to what: selectors, services, and the objects that pods mount."""

from collections.abc import Iterator, Sequence
from typing import Any

from tools.chart.manifests import Finding, Manifest, Rendering, Workload, matches, named, texts, walk
from tools.chart.rules.lifecycle import answers_with_tls

REFERENCES = {
    "configMap": ("name", "ConfigMap"),
    "secret": ("secretName", "Secret"),
    "persistentVolumeClaim": ("claimName", "PersistentVolumeClaim"),
}


def selectors_match(rendering: Rendering) -> Iterator[Finding]:
    """Every workload selects its own pods and nobody else's."""
    for workload in rendering.serving:
        selector = walk(workload.manifest, "spec", "selector")
        taken = [other.where for other in rendering.workloads if matches(selector, other.labels)]
        if taken != [workload.where]:
            yield Finding(workload.where, f"its selector takes the pods of {', '.join(taken) or 'nobody'}")


def services_lead_somewhere(rendering: Rendering) -> Iterator[Finding]:
    """Every Service leads to pods that serve, or to workers that it names, on ports that they listen on."""
    for service in rendering.of("Service"):
        taken = [
            item
            for item in rendering.workloads
            if matches({"matchLabels": walk(service, "spec", "selector")}, item.labels)
        ]
        if not taken or not all(item.serves or _names(service, item) for item in taken):
            yield Finding(named(service), f"leads to {', '.join(item.where for item in taken) or 'no pods'}")
        for port in walk(service, "spec").get("ports") or ():
            target = port.get("targetPort", port["port"])
            for workload in taken:
                if target not in _ports(workload):
                    yield Finding(
                        named(service),
                        f"its port {port['port']} leads to {target}, where {workload.where} does not listen",
                    )


def stateful_sets_have_names(rendering: Rendering) -> Iterator[Finding]:
    """The Service that a StatefulSet's pods are named after exists, is headless, and leads to them."""
    for workload in rendering.serving:
        if workload.kind != "StatefulSet":
            continue
        name = walk(workload.manifest, "spec").get("serviceName")
        service = next((item for item in rendering.of("Service") if item["metadata"]["name"] == name), {})
        spec = walk(service, "spec")
        if spec.get("clusterIP") != "None" or not matches({"matchLabels": spec.get("selector")}, workload.labels):
            yield Finding(workload.where, f"its pods are named after {name!r}, which is no headless Service of theirs")


def protocols_are_spoken(rendering: Rendering) -> Iterator[Finding]:
    """A Service says `https` of a port only where its pods answer with TLS, and a plain protocol only where not."""
    for service in rendering.of("Service"):
        selector = {"matchLabels": walk(service, "spec", "selector")}
        pods = [workload for workload in rendering.serving if matches(selector, workload.labels)]
        secured = any(answers_with_tls(container) for workload in pods for container in workload.containers)
        for port in walk(service, "spec").get("ports") or ():
            protocol = port.get("appProtocol")
            if protocol and (protocol == "https") != secured:
                yield Finding(named(service), f"says {protocol} of {port['name']}; TLS there: {secured}")


def routes_lead_somewhere(rendering: Rendering) -> Iterator[Finding]:
    """Every route, Ingress and probe of the Gateway names a Service and a port that exist."""
    ports = {item["metadata"]["name"]: _service_ports(item) for item in rendering.of("Service")}
    for route in rendering.of("GRPCRoute", "HTTPRoute", "Ingress"):
        for name, port in _backends(route):
            if port not in ports.get(name, ()):
                yield Finding(named(route), f"leads to {name}:{port}, which does not exist")


def references_exist(rendering: Rendering) -> Iterator[Finding]:
    """Every ConfigMap, Secret, claim and ServiceAccount that a pod uses is rendered, or named in the values."""
    known = texts(rendering.values)
    for workload in rendering.workloads:
        for kind, name in [*_mounted(workload.pod), *_from_variables(workload)]:
            exists = any(item["metadata"]["name"] == name for item in rendering.of(kind))
            made = kind == "Secret" and any(
                walk(item, "spec").get("secretName") == name for item in rendering.of("Certificate")
            )
            if not exists and not made and name not in known:
                yield Finding(
                    workload.where, f"uses the {kind} {name!r}, which is neither rendered nor named in the values"
                )


def monitors_find(rendering: Rendering) -> Iterator[Finding]:
    """Every monitor selects something, and scrapes a port that it has."""
    for monitor in rendering.of("ServiceMonitor"):
        selector = walk(monitor, "spec", "selector")
        services = [item for item in rendering.of("Service") if matches(selector, walk(item, "metadata", "labels"))]
        names = {port.get("name") for item in services for port in walk(item, "spec").get("ports") or ()}
        yield from _scrapes(monitor, walk(monitor, "spec").get("endpoints") or (), names)
    for monitor in rendering.of("PodMonitor"):
        pods = [item for item in rendering.workloads if matches(walk(monitor, "spec", "selector"), item.labels)]
        names = {port for item in pods for port in _ports(item)}
        yield from _scrapes(monitor, walk(monitor, "spec").get("podMetricsEndpoints") or (), names)


def one_namespace(rendering: Rendering) -> Iterator[Finding]:
    """No object is put into a namespace other than the release's."""
    for item in rendering.objects:
        namespace = walk(item, "metadata").get("namespace")
        if namespace not in (None, rendering.namespace):
            yield Finding(named(item), f"is put into the namespace {namespace!r}")


def unique_names(rendering: Rendering) -> Iterator[Finding]:
    """No two objects of a kind share a name, and names are short enough for Kubernetes."""
    seen: set[str] = set()
    for item in rendering.objects:
        if named(item) in seen:
            yield Finding(named(item), "is rendered twice")
        if len(item["metadata"]["name"]) > 63:
            yield Finding(named(item), "has a name of more than 63 characters")
        seen.add(named(item))


def _scrapes(monitor: Manifest, endpoints: Sequence[Manifest], names: set[Any]) -> Iterator[Finding]:
    for endpoint in endpoints:
        if endpoint.get("port") not in names:
            yield Finding(
                named(monitor), f"scrapes the port {endpoint.get('port')!r}, which nothing that it selects has"
            )


def _ports(workload: Workload) -> set[int | str]:
    """Returns numbers and names of the ports that the workload's containers list."""
    listed = [port for container in workload.containers for port in container.get("ports") or ()]
    return {port["containerPort"] for port in listed} | {port["name"] for port in listed if "name" in port}


def _names(service: Manifest, workload: Workload) -> bool:
    """Returns whether the Service gives names to the workers of an Indexed Job."""
    return workload.indexed and workload.pod.get("subdomain") == service["metadata"]["name"]


def _service_ports(service: Manifest) -> set[int | str]:
    ports = walk(service, "spec").get("ports") or ()
    return {port["port"] for port in ports} | {port["name"] for port in ports if "name" in port}


def _backends(route: Manifest) -> Iterator[tuple[str, int | str]]:
    for rule in walk(route, "spec").get("rules") or ():
        for backend in rule.get("backendRefs") or ():
            yield backend["name"], backend["port"]
        for path in walk(rule, "http").get("paths") or ():
            service = walk(path, "backend", "service")
            port = walk(service, "port")
            yield str(service.get("name")), port.get("number", port.get("name", ""))


def _mounted(pod: Manifest) -> Iterator[tuple[str, str]]:
    if account := pod.get("serviceAccountName"):
        yield "ServiceAccount", account
    for secret in pod.get("imagePullSecrets") or ():
        yield "Secret", secret["name"]
    for volume in pod.get("volumes") or ():
        sources = [volume, *walk(volume, "projected").get("sources", ())]
        for source in sources:
            for key, (field, kind) in REFERENCES.items():
                found = walk(source, key)
                name = found.get(field) or found.get("name")
                if name and not found.get("optional"):
                    yield kind, name


def _from_variables(workload: Workload) -> Iterator[tuple[str, str]]:
    for container in workload.all_containers:
        for item in container.get("env") or ():
            for key, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                if reference := walk(item, "valueFrom", key):
                    yield kind, reference["name"]
        for item in container.get("envFrom") or ():
            for key, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                if reference := walk(item, key):
                    yield kind, reference["name"]
