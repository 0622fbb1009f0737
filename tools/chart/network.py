"""Decides, as Kubernetes does, which pod may open a connection to which: NetworkPolicies over pods, with no cluster."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tools.chart.manifests import Manifest, matches, walk

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Label that Kubernetes itself gives every namespace."""


@dataclass(frozen=True)
class Port:
    """Is where a connection goes."""

    number: int
    name: str = ""
    protocol: str = "TCP"


@dataclass(frozen=True)
class Peer:
    """Is one end of a connection: a pod, or, without a namespace, an address outside the cluster."""

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    address: str = "10.244.0.1"
    ports: Sequence[Port] = ()

    @property
    def in_cluster(self) -> bool:
        """Returns whether it is a pod."""
        return bool(self.namespace)

    @property
    def labels_of_namespace(self) -> Mapping[str, str]:
        """Returns the labels of its namespace, with the one that every namespace has."""
        return {NAMESPACE_NAME: self.namespace, **self.namespace_labels}


@dataclass(frozen=True)
class Policies:
    """Holds the NetworkPolicies of a cluster."""

    manifests: Sequence[Manifest]

    def allow(self, source: Peer, target: Peer, port: Port) -> bool:
        """Returns whether the source may open a connection to this port of the target.

        Both ends decide: the policies that take the source about what leaves it, those of the target about what comes.
        """
        return self._permits("Egress", source, target, port) and self._permits("Ingress", target, source, port)

    def isolates(self, peer: Peer, direction: str) -> bool:
        """Returns whether some policy takes the pod in this direction, so that what is not allowed is forbidden."""
        return any(True for _ in self._taking(peer, direction))

    def _permits(self, direction: str, owner: Peer, other: Peer, port: Port) -> bool:
        taking = list(self._taking(owner, direction))
        target = owner if direction == "Ingress" else other
        return not taking or any(_allows(policy, direction, other, target, port) for policy in taking)

    def _taking(self, peer: Peer, direction: str) -> Iterator[Manifest]:
        for policy in self.manifests:
            same = peer.in_cluster and policy["metadata"].get("namespace", peer.namespace) == peer.namespace
            if same and direction in _types(policy) and matches(walk(policy, "spec", "podSelector"), peer.labels):
                yield policy


def _types(policy: Manifest) -> Sequence[str]:
    """Returns the directions that a policy is about; unsaid, ingress, and egress when it has rules for that."""
    spec = walk(policy, "spec")
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _allows(policy: Manifest, direction: str, other: Peer, target: Peer, port: Port) -> bool:
    """Returns whether one rule of the policy lets the other end through; a rule that names nobody lets all."""
    key, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    for rule in walk(policy, "spec").get(key) or ():
        named = rule.get(peers)
        home = policy["metadata"].get("namespace", "")
        if (not named or any(is_peer(item, other, home) for item in named)) and _is_port(rule, target, port):
            return True
    return False


def is_peer(item: Manifest, peer: Peer, home: str) -> bool:
    """Returns whether an item of `from` or `to` in a policy of the namespace `home` means this peer."""
    if "ipBlock" in item:
        address, block = ipaddress.ip_address(peer.address), item["ipBlock"]
        inside = address in ipaddress.ip_network(block["cidr"])
        return inside and not any(address in ipaddress.ip_network(hole) for hole in block.get("except") or ())
    if not peer.in_cluster:
        return False
    if "namespaceSelector" in item:
        right_namespace = matches(item["namespaceSelector"], peer.labels_of_namespace)
    else:
        right_namespace = home in ("", peer.namespace)
    return right_namespace and matches(item.get("podSelector"), peer.labels)


def _is_port(rule: Manifest, target: Peer, port: Port) -> bool:
    allowed = rule.get("ports")
    return not allowed or any(_same_port(item, target, port) for item in allowed)


def _same_port(item: Manifest, target: Peer, port: Port) -> bool:
    """Returns whether the rule's port is this one; a name is what the target's containers call their ports."""
    if item.get("protocol", "TCP") != port.protocol:
        return False
    wanted = item.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        numbers = {known.number for known in target.ports if known.name == wanted and known.protocol == port.protocol}
        return port.number in numbers
    return bool(wanted <= port.number <= item.get("endPort", wanted))
