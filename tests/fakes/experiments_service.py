"""The experiments service over a real server, with stubs of all that it serves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from fakes.servers import connected, running_server
from prometheus_client import CollectorRegistry

from services.experiments.service import open_service
from services.experiments.settings import ExperimentsSettings
from triptych.experiments.v1.evidence_service_pb2_grpc import EvidenceServiceStub
from triptych.experiments.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from triptych.experiments.v1.feedback_service_pb2_grpc import FeedbackServiceStub


class Stubs:
    """Are stubs of one service."""

    def __init__(self, channel: grpc.aio.Channel, port: int) -> None:
        self.channel = channel
        self.port = port
        self.experiments: Any = ExperimentServiceStub(channel)
        self.evidence: Any = EvidenceServiceStub(channel)
        self.feedback: Any = FeedbackServiceStub(channel)


@asynccontextmanager
async def serving(folder: Path, database_url: str, **values: Any) -> AsyncIterator[Stubs]:
    """Runs a service while the context is open.

    Args:
        folder: of its journal.
        database_url: where it keeps everything else.
        values: further settings.
    """
    settings = ExperimentsSettings(data_dir=folder, database_url=database_url, **{"verdict_interval_s": 0.05, **values})
    async with (
        open_service(settings, CollectorRegistry()) as service,
        running_server(service.register, service.names, readiness=service.readiness, parcels=True) as server,
        connected(server.port) as channel,
    ):
        yield Stubs(channel, server.port)
