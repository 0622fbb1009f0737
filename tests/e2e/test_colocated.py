"""Gateway and services as one process: the same answers, the same errors, half as many processes."""

import signal
from collections.abc import Iterator
from os import kill
from pathlib import Path

import pytest
from e2e.cluster import PHOTOGRAPHS, Cluster, start_cluster, triptych, until


@pytest.fixture(scope="module")
def colocated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with the services inside the gateway."""
    running = start_cluster(tmp_path_factory.mktemp("colocated"), "--colocated")
    yield running
    assert triptych("down", "--state-dir", str(running.state_dir)).returncode == 0


def test_there_are_three_processes(colocated: Cluster) -> None:
    """Triton stays a process of its own, and so do experiments, whose end must cost no answer."""
    names = [process["name"] for process in colocated.status()["processes"]]
    assert ["experiments", "gateway", "triton"] == sorted(names)


@pytest.mark.parametrize("path", sorted(PHOTOGRAPHS.glob("*.*g")), ids=lambda path: path.name)
def test_answers_are_those_of_the_services_apart(path: Path, colocated: Cluster, cluster: Cluster) -> None:
    """The five best classes and their scores are the same."""
    together, apart = (each.post(path.read_bytes()).json()["predictions"] for each in (colocated, cluster))
    assert [each["index"] for each in apart] == [each["index"] for each in together]
    assert [each["score"] for each in apart] == pytest.approx([each["score"] for each in together], abs=1e-6)


def test_errors_are_those_of_the_services_apart(colocated: Cluster, cluster: Cluster) -> None:
    """A damaged picture gets the same code, reason, sentence and field."""
    answers = [each.post(b"\xff\xd8\xff\xe0 no picture").json()["error"] for each in (colocated, cluster)]
    for answer in answers:
        del answer["request_id"]
    assert answers[0] == answers[1]


def test_it_survives_triton(colocated: Cluster) -> None:
    """When Triton is killed, the gateway says so, and is back when Triton is."""
    kill(colocated.pid("triton"), signal.SIGKILL)
    until(lambda: not colocated.ready(), within_s=5)
    until(colocated.ready, within_s=60)
    assert 200 == colocated.post((PHOTOGRAPHS / "chelsea.png").read_bytes()).status_code


def test_it_has_no_replicas_to_set(tmp_path: Path) -> None:
    """Replicas of a service inside another process are refused with a sentence."""
    result = triptych("up", "--colocated", "--replicas", "preprocess=2", "--state-dir", str(tmp_path))
    assert (1, True) == (result.returncode, b"no replicas" in result.stderr)
