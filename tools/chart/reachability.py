"""Computes who reaches whom from the rendered NetworkPolicies, and compares it with what is meant."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from tools.chart.actors import CHOSEN, DNS, outside, pods
from tools.chart.manifests import COMPONENT, Finding, Rendering, walk
from tools.chart.network import Peer, Policies, is_peer

Matrix = Mapping[tuple[str, str], tuple[int, ...]]
"""Ports that are open, by names of source and target; pairs with none are left out."""
CALLS: Mapping[str, Mapping[str, frozenset[int]]] = {
    "gateway": {
        **{tier: frozenset({8081, 8082}) for tier in ("preprocess", "inference", "postprocess")},
        "experiments": frozenset({8081}),
    },
    "inference": {"triton": frozenset({8001})},
    "test": {"gateway": frozenset({8080, 8081})},
    "training": {"training": frozenset({29500, *CHOSEN})},
}
"""Ports that a component calls at another: these, and no others."""
METRICS: Mapping[str, int] = {"triton": 8002}
OWN_METRICS = 9464
ENTRANCE = frozenset({8080, 8081})
"""Ports of the gateway for callers from outside."""
TRACED = frozenset({"gateway", "preprocess", "inference", "postprocess", "experiments", "triton"})
"""Components that send traces."""
COPYING = frozenset({"inference", "postprocess", "preprocess", "triton", "engine", "engines"})
"""Components that copy the models when they lie in an S3 store."""


def matrix(rendering: Rendering) -> Matrix:
    """Returns every open connection between the rendering's pods, and between them and everybody else."""
    policies, ours = Policies(rendering.of("NetworkPolicy")), pods(rendering)
    others = outside(rendering)
    pairs = [(one, other) for one in ours for other in [*ours, *others] if one is not other]
    pairs += [(other, one) for other in others for one in ours]
    found = {(one.name, other.name): _open(policies, one, other) for one, other in pairs}
    return {pair: ports for pair, ports in found.items() if ports}


def enforced(rendering: Rendering) -> bool:
    """Returns whether the values ask for policies at all."""
    return bool(rendering.of("NetworkPolicy"))


def reachable_only_as_intended(rendering: Rendering) -> Iterator[Finding]:
    """Each pod reaches, and is reached by, exactly those it works with; everything else is refused."""
    if not enforced(rendering):
        if walk(rendering.values, "networkPolicy").get("enabled", True):
            yield Finding("NetworkPolicy", "the values enable policies, but none is rendered")
        return
    policies, ours, others = Policies(rendering.of("NetworkPolicy")), pods(rendering), outside(rendering)
    for pod in ours:
        for direction in ("Ingress", "Egress"):
            if not policies.isolates(pod, direction):
                yield Finding(pod.name, f"no policy takes it for {direction}")
        for other in ours:
            if other is not pod:
                yield from _compare(policies, pod, other, _meant(pod, other))
        for other in others:
            yield from _compare(policies, other, pod, _meant_in(rendering, other, pod))
            yield from _compare(policies, pod, other, _meant_out(rendering, pod, other))


def _open(policies: Policies, source: Peer, target: Peer) -> tuple[int, ...]:
    return tuple(sorted({port.number for port in target.ports if policies.allow(source, target, port)}))


def _compare(policies: Policies, source: Peer, target: Peer, meant: frozenset[int]) -> Iterator[Finding]:
    """Yields what is open and should not be, and the other way round."""
    are = frozenset(_open(policies, source, target))
    for port in sorted(are - meant):
        yield Finding(source.name, f"reaches {target.name}:{port}, and should not")
    for port in sorted(meant - are):
        yield Finding(source.name, f"cannot reach {target.name}:{port}")


def _meant(source: Peer, target: Peer) -> frozenset[int]:
    calls = CALLS.get(_component(source), {}).get(_component(target), frozenset())
    return calls & {port.number for port in target.ports}


def _meant_in(rendering: Rendering, source: Peer, target: Peer) -> frozenset[int]:
    """Returns the ports of a pod that somebody outside the release is meant to reach."""
    meant: frozenset[int] = frozenset()
    if _invited(rendering, "monitoringPeers", source):
        meant |= {METRICS.get(_component(target), OWN_METRICS)}
    if _component(target) == "gateway" and _invited(rendering, "gatewayPeers", source, everybody=True):
        meant |= ENTRANCE
    return meant & {port.number for port in target.ports}


def _meant_out(rendering: Rendering, source: Peer, target: Peer) -> frozenset[int]:
    """Returns the ports outside the release that a pod is meant to reach: traces, models, a database, and names."""
    calls = dict(_calls_outside(rendering, _component(source)))
    meant = {port for key, port in calls.items() if _invited(rendering, key, target, everybody=True)}
    if target is DNS and (calls or _component(source) in CALLS):
        meant |= set(walk(rendering.values, "networkPolicy", "dns").get("ports") or {53})
    return frozenset(meant) & {port.number for port in target.ports}


def _calls_outside(rendering: Rendering, component: str) -> Iterator[tuple[str, int]]:
    """Yields the key of the peers that a component calls outside the release, and the port."""
    endpoint, store = walk(rendering.values, "tracing").get("otlpEndpoint"), walk(rendering.values, "modelStore")
    if endpoint and component in TRACED:
        yield "otlpPeers", urlsplit(endpoint).port or 80
    database = walk(rendering.values, "experiments", "database")
    if component == "experiments" and database.get("existingSecret"):
        yield "databasePeers", database["port"]
    if store.get("type") == "s3" and component in COPYING:
        yield "s3Peers", urlsplit(walk(store, "s3").get("endpointUrl") or "").port or 443


def _invited(rendering: Rendering, key: str, peer: Peer, *, everybody: bool = False) -> bool:
    """Returns whether the values name the peer under a key of `networkPolicy`; an empty list may mean everybody."""
    items = walk(rendering.values, "networkPolicy").get(key) or ()
    return any(is_peer(item, peer, rendering.namespace) for item in items) if items else everybody


def _component(peer: Peer) -> str:
    return peer.labels.get(COMPONENT, peer.name)
