"""What is counted of experiments, and how things stood when they were last looked at, or are at a scrape."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from services.experiments.journal import Journal
from services.experiments.writer import Writer

EXPERIMENTS = Gauge("triptych_experiments", "Experiments, by the state in which they are.", ("state",))
CANDIDATES = Gauge(
    "triptych_experiment_candidates", "Candidates and shadows of running experiments, by what is advised.", ("advice",)
)
DECISIONS = Counter("triptych_experiment_decisions", "Entries that were added to the log of decisions.", ("action",))
ROLLED_BACK = DECISIONS.labels("roll back")
"""There from the start: Prometheus sees no rise of a series that begins at 1."""
ROUTING_REVISION = Gauge(
    "triptych_experiments_routing_revision", "What gateways are told has so many changes behind it."
)
LOOKED = Gauge("triptych_verdicts_timestamp_seconds", "When every running experiment was last looked at, in Unix time.")
LOOK_FAILURES = Counter("triptych_verdict_failures", "Looks at a running experiment that failed.")
DATABASE_UP = Gauge("triptych_database_up", "1 while the database answers, else 0.")


class StoreCollector(Collector):
    """Shows the journal, and how far the database is behind it."""

    def __init__(self, journal: Journal, writer: Writer, limit_bytes: int) -> None:
        self._journal = journal
        self._limit_bytes = limit_bytes
        self._writer = writer

    def collect(self) -> Iterable[Metric]:
        """Returns how things are."""
        progress = self._writer.progress()
        yield GaugeMetricFamily("triptych_journal_bytes", "Size of the journal.", self._journal.length)
        yield GaugeMetricFamily("triptych_journal_limit_bytes", "Most that it may hold.", self._limit_bytes)
        yield GaugeMetricFamily(
            "triptych_journal_waiting_bytes", "Of the journal, what is not in the database yet.", progress.waiting_bytes
        )
        yield GaugeMetricFamily(
            "triptych_journal_behind_seconds",
            "For how long the database has been behind the journal.",
            progress.behind_s,
        )
        yield CounterMetricFamily(
            "triptych_journal_refused_entries",
            "Entries that the database did not take for what is in them, and that were kept aside.",
            progress.refused,
        )


@contextmanager
def shown(journal: Journal, writer: Writer, limit_bytes: int, registry: CollectorRegistry) -> Iterator[None]:
    """Shows them in a registry while the context is open."""
    collector = StoreCollector(journal, writer, limit_bytes)
    registry.register(collector)
    try:
        yield
    finally:
        registry.unregister(collector)
