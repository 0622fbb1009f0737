"""The matrix of who reaches whom is compared with what is meant."""

from typing import Any

import pytest
from fakes.manifests import LABELS, experiments, gateway, rendering, training, triton

from tools.chart.reachability import matrix, reachable_only_as_intended

PROMETHEUS = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
DNS = {"ports": [{"port": 53, "protocol": "UDP"}], "to": [{"namespaceSelector": {}}]}


def _policy(component: str, ports: list[int], metrics: int, **more: Any) -> dict[str, Any]:
    scrape = {"ports": [{"port": metrics}], "from": [PROMETHEUS]}
    spec = {
        "podSelector": {"matchLabels": {"app.kubernetes.io/component": component}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [scrape, *([{"ports": [{"port": port} for port in ports]}] if ports else [])],
        **more,
    }
    return {
        "kind": "NetworkPolicy",
        "metadata": {"name": component, "namespace": "triptych", "labels": LABELS},
        "spec": spec,
    }


def _findings(*policies: dict[str, Any]) -> list[str]:
    values = {"enabled": True, "monitoringPeers": [PROMETHEUS]}
    release = rendering(gateway(), triton(), *policies, networkPolicy=values)
    return [str(finding) for finding in reachable_only_as_intended(release)]


def test_meant_flows_have_no_finding() -> None:
    """Callers reach the gateway, Prometheus the metrics, and nobody else anything."""
    assert [] == _findings(_policy("gateway", [8080, 8081], 9464, egress=[DNS]), _policy("triton", [], 8002))


def test_open_triton_is_found() -> None:
    """A Triton that anybody may call is found, once for each who may."""
    found = _findings(_policy("gateway", [8080, 8081], 9464, egress=[DNS]), _policy("triton", [8001], 8002))

    assert "the internet: reaches triptych-triton:8001, and should not" in found


def test_missing_flow_is_found() -> None:
    """A gateway that cannot look up names is found."""
    found = _findings(_policy("gateway", [8080, 8081], 9464), _policy("triton", [], 8002))

    assert ["triptych-gateway: cannot reach DNS:53"] == found


def test_pod_without_policy_is_found() -> None:
    """A pod that no policy takes is found for each direction."""
    found = _findings(_policy("gateway", [8080, 8081], 9464, egress=[DNS]))

    assert "triptych-triton: no policy takes it for Ingress" in found
    assert "triptych-triton: no policy takes it for Egress" in found


def test_enabled_and_not_rendered_is_found() -> None:
    """Values that ask for policies and render none are found."""
    assert ["NetworkPolicy: the values enable policies, but none is rendered"] == _findings()


@pytest.mark.parametrize(
    ("first", "found"),
    [
        (1024, []),
        (1, ["reaches triptych-training-{}:22, and should not"]),
        (29500, ["cannot reach triptych-training-{}:1024"]),
    ],
)
def test_workers_reach_each_other_and_no_more(first: int, found: list[str]) -> None:
    """Workers of one Job are two peers: what is open between them from this port on is no more than they need."""
    peers = [{"podSelector": {"matchLabels": {"app.kubernetes.io/component": "training"}}}]
    ports = [{"port": first, "endPort": 65535}]
    policy = _policy("training", [], 9464, egress=[{"ports": ports, "to": peers}, DNS])
    policy["spec"]["ingress"] = [{"ports": ports, "from": peers}]
    release = rendering(training(), policy, networkPolicy={"enabled": True})

    expected = [f"triptych-training-{one}: {words.format(1 - one)}" for one in (0, 1) for words in found]
    assert expected == [str(finding) for finding in reachable_only_as_intended(release)]


@pytest.mark.parametrize(
    ("port", "found"),
    [(5432, []), (443, ["triptych-experiments: cannot reach the database:5432"])],
)
def test_the_database_is_reached_where_the_values_name_one(port: int, found: list[str]) -> None:
    """The experiments service opens the port of its database at the peers that the values name, and looks up names."""
    peers = [{"ipBlock": {"cidr": "10.20.0.0/24"}}]
    policy = _policy("experiments", [], 9464, egress=[{"ports": [{"port": port}], "to": peers}, DNS])
    policy["spec"]["ingress"] = []
    values = {"database": {"existingSecret": "postgres", "port": 5432}}
    release = rendering(
        experiments(), policy, experiments=values, networkPolicy={"enabled": True, "databasePeers": peers}
    )

    assert found == [str(finding) for finding in reachable_only_as_intended(release)]


def test_matrix_holds_open_ports_only() -> None:
    """The matrix has a cell for each pair with an open port, and no other."""
    release = rendering(gateway(), _policy("gateway", [8080], 9464), networkPolicy={"enabled": True})
    cells = matrix(release)

    assert (8080,) == cells["the internet", "triptych-gateway"]
    assert ("triptych-gateway", "the internet") not in cells
