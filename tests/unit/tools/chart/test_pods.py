"""Deployments become pods that podman runs, changed only where podman knows less than Kubernetes."""

from pathlib import Path
from typing import Any

from fakes.manifests import experiments, gateway, headless, rendering, service

from tools.chart.play import published
from tools.chart.pods import PlayedPod, played


def _played(folder: Path) -> PlayedPod:
    release = rendering(gateway(), service())
    return played(release, release.serving[0], folder)


def _container(pod: PlayedPod) -> dict[str, Any]:
    container: dict[str, Any] = pod.documents[-1]["spec"]["containers"][0]
    return container


def test_services_become_names(tmp_path: Path) -> None:
    """A pod is known by the names of the Services that lead to it."""
    assert ["triptych-gateway"] == _played(tmp_path).aliases


def test_security_and_environment_stay(tmp_path: Path) -> None:
    """What the container may do and what it is told are as the chart renders them."""
    original = gateway()["spec"]["template"]["spec"]["containers"][0]
    container = _container(_played(tmp_path))

    assert original["securityContext"] == container["securityContext"]
    assert original["env"] == container["env"]
    assert {"livenessProbe", "readinessProbe", "lifecycle", "ports"} == original.keys() - container.keys()


def test_scratch_space_can_be_written(tmp_path: Path) -> None:
    """An emptyDir becomes a folder that every user may write to."""
    volume = _played(tmp_path).documents[-1]["spec"]["volumes"][0]

    assert 0o777 == Path(volume["hostPath"]["path"]).stat().st_mode & 0o777


def test_claims_become_scratch_space(tmp_path: Path) -> None:
    """What a StatefulSet would make a claim for becomes a folder of the same name."""
    release = rendering(experiments(), headless())
    volumes = played(release, release.serving[0], tmp_path).documents[-1]["spec"]["volumes"]

    assert ["tmp", "data"] == [volume["name"] for volume in volumes]
    assert Path(volumes[-1]["hostPath"]["path"]).is_dir()


def test_what_ended_well_is_not_restarted(tmp_path: Path) -> None:
    """Init containers run once, although podman has them obey the pod's restart policy."""
    assert "OnFailure" == _played(tmp_path).documents[-1]["spec"]["restartPolicy"]


def test_readiness_is_remembered(tmp_path: Path) -> None:
    """What the readiness probes ask is kept for who plays the pods."""
    assert [(8081, "triptych.classification.v1.ClassificationService")] == _played(tmp_path).readiness


def test_one_port_is_published(tmp_path: Path) -> None:
    """The port that is asked for, and no other, is published on this machine alone."""
    pod, port = published(_played(tmp_path), 8080)

    assert [{"containerPort": 8080, "hostPort": port, "hostIP": "127.0.0.1"}] == _container(pod)["ports"]
