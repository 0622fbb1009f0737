"""One cluster for all tests of this tier."""

from collections.abc import Iterator

import pytest
from e2e.cluster import Cluster, start_cluster, triptych, until


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for the whole session."""
    running = start_cluster(tmp_path_factory.mktemp("cluster"))
    yield running
    assert triptych("down", "--state-dir", str(running.state_dir)).returncode == 0


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    """The cluster, ready: a test that broke something has to leave it so, or the next one says it."""
    until(shared_cluster.ready, within_s=20)
    return shared_cluster
