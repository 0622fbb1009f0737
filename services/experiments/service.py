"""Wires the experiments service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry

from servicekit.health import Readiness
from servicekit.server import background
from servicekit.service import Service
from services.experiments.evidence_servicer import EvidenceServicer
from services.experiments.experiment_servicer import ExperimentServicer
from services.experiments.feedback_servicer import FeedbackServicer
from services.experiments.judging import Judging
from services.experiments.metrics import shown
from services.experiments.registry import Registry
from services.experiments.settings import ExperimentsSettings
from services.experiments.store import open_store
from services.experiments.threads import Threads
from triptych.experiments.v1.evidence_service_pb2_grpc import add_EvidenceServiceServicer_to_server
from triptych.experiments.v1.experiment_service_pb2_grpc import add_ExperimentServiceServicer_to_server
from triptych.experiments.v1.feedback_service_pb2_grpc import add_FeedbackServiceServicer_to_server

_PACKAGE = "triptych.experiments.v1"
EXPERIMENTS, FEEDBACK, EVIDENCE = (f"{_PACKAGE}.{name}Service" for name in ("Experiment", "Feedback", "Evidence"))
PROBES = (f"/{EVIDENCE}/GetRouting", f"/{EVIDENCE}/RecordEvidence")
"""Each gateway calls them about once a second."""


@asynccontextmanager
async def open_service(settings: ExperimentsSettings, metrics: CollectorRegistry = REGISTRY) -> AsyncIterator[Service]:
    """Opens the service. It is ready whether or not the database is there: labels are taken all the same.

    Args:
        settings: its own.
        metrics: where it shows its journal; a process has room for one.

    Raises:
        JournalError: another process uses the folder of the journal.
    """
    limit_bytes = settings.journal_max_bytes
    async with open_store(settings) as store, Threads().running() as threads:
        with shown(store.journal, store.writer, limit_bytes, metrics):
            registry = Registry(store.database)
            judging = Judging(store.database, registry)

            def register(server: Any) -> None:
                add_ExperimentServiceServicer_to_server(ExperimentServicer(registry, judging, threads), server)
                add_FeedbackServiceServicer_to_server(FeedbackServicer(store.intake, store.database, threads), server)
                add_EvidenceServiceServicer_to_server(EvidenceServicer(registry, store.intake, threads), server)

            async with background(judging.run(threads, settings.verdict_interval_s)):
                yield Service(EXPERIMENTS, register, Readiness(), probes=PROBES, also=(FEEDBACK, EVIDENCE))
