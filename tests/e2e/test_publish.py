"""A running cluster takes over what is published, and what is rolled back, without a restart or a lost request."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from candidates import Colours, colour_dataset, colour_picture, colour_run
from e2e.cluster import Cluster, start_cluster, triptych, until

from modelkit.data.store import Dataset
from modelkit.release.publishing import Plan, publish_run

REPLICAS = ("--replicas", "inference=2", "--replicas", "postprocess=2")
"""One may hear of a version before the other does."""
RED = colour_picture("red", seed=1)


class Requests:
    """Asks a model without a pause, and remembers every answer."""

    def __init__(self, cluster: Cluster, model: str) -> None:
        self.answers: list[tuple[int, str]] = []
        """HTTP status and version of each."""
        self._cluster = cluster
        self._query = f"?model={model}"
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]

    def __enter__(self) -> "Requests":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._end.is_set():
            answer = self._cluster.post(RED, query=self._query)
            version = answer.json()["version"] if answer.status_code == 200 else answer.text
            self.answers.append((answer.status_code, version))

    def last(self) -> str:
        """Returns the version that answered last."""
        return self.answers[-1][1] if self.answers else ""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Returns pictures of four colours."""
    return colour_dataset(tmp_path_factory.mktemp("data"))


def publish(repository: Path, dataset: Dataset, gain: int, name: str = "colours") -> None:
    """Publishes a network; another gain is another file with the same answers."""
    run = colour_run(repository.parent / f"{name}_{gain}", dataset, Colours(gain=gain))
    publish_run(repository, dataset.folder.parents[1], Plan(run, name))


@pytest.fixture
def published(tmp_path: Path, dataset: Dataset) -> Iterator[tuple[Cluster, Path]]:
    """Returns a cluster of its own that serves one version of one model, and its repository."""
    repository = tmp_path / "models"
    publish(repository, dataset, gain=1)
    cluster = start_cluster(tmp_path / "state", "--model-repository", str(repository), *REPLICAS)
    yield cluster, repository
    assert triptych("down", "--state-dir", str(cluster.state_dir)).returncode == 0


def test_what_is_published_serves_without_a_restart(published: tuple[Cluster, Path], dataset: Dataset) -> None:
    """A version, a rollback, a second model, a collection: no request fails, and no process is another one."""
    cluster, repository = published
    pids = [process["pid"] for process in cluster.status()["processes"]]
    with Requests(cluster, "colours") as requests:
        until(lambda: requests.last() == "1", within_s=10)
        publish(repository, dataset, gain=2)
        until(lambda: requests.last() == "2", within_s=30)
        publish(repository, dataset, gain=1, name="more_colours")
        until(lambda: cluster.post(RED, query="?model=more_colours").status_code == 200, within_s=30)
        place = ("--repository", str(repository))
        assert 0 == triptych("model", "rollback", "colours", *place).returncode
        until(lambda: requests.last() == "1", within_s=10)
        assert 0 == triptych("model", "default", "colours", "2", *place).returncode
        until(lambda: requests.last() == "2", within_s=10)
        assert 0 == triptych("model", "gc", "colours", "--keep", "1", *place).returncode
        until(lambda: cluster.post(RED, query="?model=colours&version=1").status_code == 404, within_s=10)
        before = len(requests.answers)
        until(lambda: len(requests.answers) > before + 20, within_s=10)
    assert {(200, "1"), (200, "2")} == set(requests.answers)
    assert "red" == cluster.post(RED, query="?model=more_colours").json()["predictions"][0]["label"]
    assert pids == [process["pid"] for process in cluster.status()["processes"]]
