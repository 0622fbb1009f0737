"""SIGTERM under load: no request that was accepted is lost."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from e2e.cluster import PHOTOGRAPHS, Cluster, start_cluster, triptych, until

ROCKET = (PHOTOGRAPHS / "rocket.jpg").read_bytes()
HEADERS = {"Content-Type": "image/jpeg", "X-Timeout-Ms": "30000"}  # a Triton takes some seconds to end and to start
CLIENTS = 6


@dataclass
class Load:
    """Counts what a handful of clients saw, each sending one request after the other."""

    outcomes: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, url: str) -> None:
        """Is one client: a kept-alive connection, a new one when the server closes it."""
        with httpx.Client(timeout=30) as client:
            while not self.stop.is_set():
                self.outcomes[self.outcome(client, url)] += 1

    def outcome(self, client: httpx.Client, url: str) -> str:
        """Says how one request ended: `answered`, `refused` before it was accepted, or `lost`."""
        try:
            response = client.post(url, content=ROCKET, headers=HEADERS)
        except httpx.ConnectError:
            time.sleep(0.01)
            return "refused"  # nobody listened: nothing was accepted
        except httpx.TransportError as broken:
            return f"lost: {broken!r}"
        if response.status_code == 200:
            return "answered"
        error = response.json()["error"]
        if response.status_code == 503 and error["message"].endswith(" at the moment."):
            time.sleep(0.01)
            return "refused"  # at admission, with a hint when to come back
        return f"lost: {response.status_code} {error['message']}"

    @property
    def lost(self) -> list[str]:
        """Returns the ways in which accepted requests were lost."""
        return [outcome for outcome in self.outcomes if outcome.startswith("lost")]


@contextmanager
def load(cluster: Cluster) -> Iterator[Load]:
    """Runs the clients while the context is open."""
    running = Load()
    url = f"{cluster.http}/api/v1/classify"
    threads = [threading.Thread(target=running.run, args=(url,)) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: running.outcomes["answered"] > 3 * CLIENTS, within_s=20)
        yield running
    finally:
        running.stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("part", ["gateway", "preprocess", "inference", "postprocess", "triton"])
def test_sigterm_loses_nothing(part: str, cluster: Cluster) -> None:
    """While the only replica of a part ends and starts again, every accepted request is answered."""
    pid = cluster.pid(part)
    with load(cluster) as running:
        os.kill(pid, signal.SIGTERM)
        until(lambda: cluster.replaced(part, pid) and cluster.ready(), within_s=30)
        answered = running.outcomes["answered"]
        until(lambda: running.outcomes["answered"] > answered + 3 * CLIENTS, within_s=20)
    assert [] == running.lost


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with two replicas of each service."""
    folder: Path = tmp_path_factory.mktemp("doubled")
    replicas = [each for name in ("preprocess", "inference", "postprocess") for each in ("--replicas", f"{name}=2")]
    running = start_cluster(folder, *replicas)
    yield running
    assert triptych("down", "--state-dir", str(folder)).returncode == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("part", ["preprocess", "inference", "postprocess"])
def test_the_end_of_one_of_two_replicas_is_invisible(part: str, how: signal.Signals, doubled: Cluster) -> None:
    """With a second replica every request is answered, whether the first ends in order or is killed."""
    until(doubled.ready, within_s=20)
    pid = doubled.pid(part)
    with load(doubled) as running:
        os.kill(pid, how)
        until(lambda: doubled.replaced(part, pid), within_s=30)
    assert {"answered"} == set(running.outcomes)
