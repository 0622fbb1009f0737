"""Policies are read as Kubernetes reads them."""

from typing import Any

import pytest

from tools.chart.network import Peer, Policies, Port

HTTP, METRICS, DNS = Port(8080, "http"), Port(9464, "metrics"), Port(53, "dns", "UDP")
WEB = Peer("web", "shop", {"app": "web"}, ports=(HTTP, METRICS))
OTHER = Peer("other", "shop", {"app": "other"})
FAR = Peer("far", "far", {"app": "web"}, {"team": "far"})
OUTSIDE = Peer("outside", address="203.0.113.7")


def _policy(labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    selector = {"matchLabels": labels} if labels else {}
    return {
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "shop"},
        "spec": {"podSelector": selector, **spec},
    }


def _open(policy: dict[str, Any], source: Peer, target: Peer = WEB, port: Port = HTTP) -> bool:
    return Policies([policy]).allow(source, target, port)


def test_without_policies_everything_is_open() -> None:
    """A pod that no policy takes may be reached by all."""
    assert Policies([]).allow(OUTSIDE, WEB, HTTP)


def test_policy_of_another_pod_changes_nothing() -> None:
    """A policy concerns the pods that it takes, and no others."""
    assert _open(_policy({"app": "db"}), OTHER)


def test_policy_of_another_namespace_changes_nothing() -> None:
    """A policy concerns the pods of its namespace only."""
    assert _open(_policy(), OTHER, FAR)


def test_policy_without_rules_denies() -> None:
    """A policy that takes a pod and names nobody lets nobody in; what leaves it stays open."""
    deny = _policy()

    assert not _open(deny, OTHER)
    assert _open(deny, WEB, FAR)


def test_rule_that_names_nobody_lets_all_in() -> None:
    """An empty rule is the opposite of no rule."""
    assert _open(_policy(ingress=[{}]), OUTSIDE)


def test_both_ends_decide() -> None:
    """Egress that is denied is not opened by ingress that is allowed."""
    into_web = _policy({"app": "web"}, ingress=[{}])
    sealed = _policy({"app": "other"}, policyTypes=["Egress"])

    assert not Policies([into_web, sealed]).allow(OTHER, WEB, HTTP)


def test_policies_add_up() -> None:
    """What one policy allows, no other takes away."""
    assert Policies([_policy(), _policy(ingress=[{}])]).allow(OTHER, WEB, HTTP)


def test_egress_rules_alone_mean_both_directions() -> None:
    """Unless it says which, a policy with egress rules denies ingress too."""
    policy = Policies([_policy(egress=[{}])])

    assert policy.isolates(WEB, "Ingress")
    assert policy.isolates(WEB, "Egress")


@pytest.mark.parametrize(
    ("peer", "source", "allowed"),
    [
        ({"podSelector": {"matchLabels": {"app": "other"}}}, OTHER, True),
        ({"podSelector": {"matchLabels": {"app": "web"}}}, OTHER, False),
        ({"podSelector": {"matchLabels": {"app": "web"}}}, FAR, False),
        ({"podSelector": {}}, OTHER, True),
        ({"podSelector": {}}, OUTSIDE, False),
        ({"namespaceSelector": {}}, FAR, True),
        ({"namespaceSelector": {}}, OUTSIDE, False),
        ({"namespaceSelector": {"matchLabels": {"team": "far"}}}, FAR, True),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "far"}}}, FAR, True),
        (
            {"namespaceSelector": {"matchLabels": {"team": "far"}}, "podSelector": {"matchLabels": {"app": "x"}}},
            FAR,
            False,
        ),
        ({"ipBlock": {"cidr": "203.0.113.0/24"}}, OUTSIDE, True),
        ({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["203.0.113.0/24"]}}, OUTSIDE, False),
    ],
)
def test_peers(peer: dict[str, Any], source: Peer, *, allowed: bool) -> None:
    """Two selectors in one item must both hold; a pod selector alone means the policy's own namespace."""
    assert allowed == _open(_policy(ingress=[{"from": [peer]}]), source)


@pytest.mark.parametrize(
    ("listed", "port", "allowed"),
    [
        ({"port": 8080}, HTTP, True),
        ({"port": 8080}, METRICS, False),
        ({"port": "http"}, HTTP, True),
        ({"port": "metrics"}, HTTP, False),
        ({"port": 8000, "endPort": 8100}, HTTP, True),
        ({"port": 8000, "endPort": 8100}, METRICS, False),
        ({"port": 53}, DNS, False),
        ({"port": 53, "protocol": "UDP"}, DNS, True),
        ({"protocol": "TCP"}, HTTP, True),
    ],
)
def test_ports(listed: dict[str, Any], port: Port, *, allowed: bool) -> None:
    """Ports match by number, by range, by the name that the target gives them, and by protocol."""
    assert allowed == _open(_policy(ingress=[{"ports": [listed]}]), OTHER, port=port)
