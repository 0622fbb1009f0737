"""Says who may want to talk to whom: the pods of a rendering, and everybody else in and around a cluster."""

from collections.abc import Mapping

from tools.chart.manifests import Rendering, Workload, walk
from tools.chart.network import NAMESPACE_NAME, Peer, Port

DNS = Peer(
    "DNS",
    "kube-system",
    {"k8s-app": "kube-dns"},
    address="10.244.0.53",
    ports=(Port(53, "dns", "UDP"), Port(53, "dns-tcp"), Port(9153, "metrics")),
)
STRANGER = Peer(
    "a pod elsewhere", "elsewhere", {"app": "stranger"}, address="10.244.9.9", ports=(Port(443), Port(5432))
)
NEIGHBOUR = Peer(
    "another pod here", "triptych", {"app": "neighbour"}, address="10.244.9.10", ports=(Port(443), Port(5432))
)
INTERNET = Peer("the internet", address="203.0.113.7", ports=(Port(443), Port(4318), Port(25)))
METADATA = Peer("cloud metadata", address="169.254.169.254", ports=(Port(80),))
API_SERVER = Peer("the Kubernetes API", address="10.96.0.1", ports=(Port(443),))

CHOSEN = (1024, 65535)
"""Ends of what the kernel may choose a port from, on which workers that train together listen for each other."""

INVITED: Mapping[str, tuple[str, int]] = {
    "Prometheus": ("monitoringPeers", 9090),
    "a named caller": ("gatewayPeers", 443),
    "the collector": ("otlpPeers", 4318),
    "the S3 store": ("s3Peers", 443),
    "the database": ("databasePeers", 5432),
}
"""Those whom the values of `networkPolicy` name, by key, and a port that they listen on."""


def pods(rendering: Rendering) -> list[Peer]:
    """Returns a pod of every workload, with the ports that its containers list; two of workers that train together."""
    each = [(workload, name) for workload in rendering.workloads for name in _names(workload)]
    return [_pod(rendering, workload, name, index) for index, (workload, name) in enumerate(each)]


def outside(rendering: Rendering) -> list[Peer]:
    """Returns everybody else: those whom the values let in, and those whom nobody does."""
    return [*_named_in_values(rendering), DNS, STRANGER, NEIGHBOUR, INTERNET, METADATA, API_SERVER]


def _names(workload: Workload) -> list[str]:
    """Returns the names of as many of its pods as may have to talk to each other."""
    together = workload.indexed and walk(workload.manifest, "spec").get("completions", 1) > 1
    return [f"{workload.name}-{index}" for index in (0, 1)] if together else [workload.name]


def _pod(rendering: Rendering, workload: Workload, name: str, index: int) -> Peer:
    listed = [port for container in workload.containers for port in container.get("ports") or ()]
    ports = [Port(item["containerPort"], item.get("name", ""), item.get("protocol", "TCP")) for item in listed]
    ports += [Port(number) for number in CHOSEN if workload.indexed]
    address = f"10.244.1.{index + 1}"
    return Peer(name, rendering.namespace, workload.labels, address=address, ports=[*ports, Port(22)])


def _named_in_values(rendering: Rendering) -> list[Peer]:
    """Returns pods that answer to the peers in the values, so that what they open is seen to be open."""
    policy = walk(rendering.values, "networkPolicy")
    found = []
    for name, (key, port) in INVITED.items():
        for index, peer in enumerate(policy.get(key) or ()):
            labels = dict(walk(peer, "podSelector", "matchLabels"))
            namespace_labels = dict(walk(peer, "namespaceSelector", "matchLabels"))
            namespace = namespace_labels.get(
                NAMESPACE_NAME, rendering.namespace if "podSelector" in peer else "invited"
            )
            address = walk(peer, "ipBlock").get("cidr", "10.244.8.1/32").partition("/")[0]
            inside = "" if "ipBlock" in peer else namespace
            title = f"{name} {index + 1}" if index else name
            found.append(Peer(title, inside, labels, namespace_labels, address, (Port(port),)))
    return found
