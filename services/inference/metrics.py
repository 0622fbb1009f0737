"""What Triton's servers are like, as it is at the moment of a scrape."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import REGISTRY, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from servicekit.manifest import Manifest
from services.inference.pool import TritonPool


class PoolCollector(Collector):
    """Shows a pool; the server that has gone has no series any more."""

    def __init__(self, pool: TritonPool, manifests: Mapping[str, Manifest]) -> None:
        self._pool = pool
        self._manifests = manifests

    def collect(self) -> Iterable[Metric]:
        """Returns what is known of each server, and of each version of a model."""
        yield from self._of_servers()
        yield from self._of_versions()

    def _of_servers(self) -> Iterable[Metric]:
        ready = _gauge("triptych_triton_ready", "1 while a Triton server has a version that can answer.", "server")
        asked = _gauge("triptych_triton_in_flight_requests", "Requests in work at a Triton server.", "server")
        for server in self._pool.servers():
            usable = any(not loaded.problem for loaded in list(server.versions.values()))
            ready.add_metric([server.target], float(usable))
            asked.add_metric([server.target], server.in_flight)
        return ready, asked

    def _of_versions(self) -> Iterable[Metric]:
        labels = ("model", "version", "backend")
        ready = _gauge("triptych_model_version_ready", "1 while a published version can answer, else 0.", *labels)
        instances = _gauge("triptych_triton_instances", "Batches that are computed at the same time, at most.", *labels)
        for manifest in self._manifests.values():
            for version in manifest.versions:
                for backend, count in self._instances(manifest.name, version).items():
                    values = [manifest.name, version, backend]
                    ready.add_metric(values, float(count > 0))
                    instances.add_metric(values, count)
        return ready, instances

    def _instances(self, model: str, version: str) -> Mapping[str, int]:
        """Returns the instances that a version has, by backend: more than one when servers run it differently."""
        found: dict[str, int] = {}
        for server in self._pool.servers():
            loaded = server.versions.get((model, version))
            if loaded is not None and not loaded.problem:
                found[loaded.backend] = found.get(loaded.backend, 0) + loaded.instances
        return found or {"": 0}


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)


@contextmanager
def shown(pool: TritonPool, manifests: Mapping[str, Manifest]) -> Iterator[None]:
    """Shows the pool while the context is open."""
    collector = PoolCollector(pool, manifests)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)
