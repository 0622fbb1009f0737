"""Wires experiments into the gateway."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from gateway.answering import Answering
from gateway.classifier import Answers
from gateway.experiments.answering import RoutedAnswering
from gateway.experiments.feed import Feed
from gateway.experiments.recorder import Recorder
from gateway.experiments.sampling import Policy
from gateway.experiments.shadows import Shadows
from gateway.experiments.telling import Teller
from gateway.hops import Hops, open_hops
from gateway.models import ModelDirectory
from gateway.pipeline import Pipeline
from gateway.result_cache import ResultCache
from gateway.settings import GatewaySettings
from gateway.tiers import Tiers
from servicekit.channel import open_channel
from servicekit.metrics import RpcMetrics
from servicekit.remote import RemoteMethod
from servicekit.server import background
from servicekit.tls import Tls
from triptych.experiments.v1 import evidence_service_pb2 as pb

EXPERIMENTS = "experiments"
EVIDENCE = "triptych.experiments.v1.EvidenceService"
FLUSH_S = 2.0
"""How long telling what is left may take when the process ends."""


@asynccontextmanager
async def open_answering(
    settings: GatewaySettings,
    tiers: Tiers,
    directory: ModelDirectory,
    hops: Hops,
    cache: ResultCache | None,
    experiments: grpc.aio.Channel | None,
    metrics: RpcMetrics,
) -> AsyncIterator[Answers]:
    """Yields what answers calls: through the chain, and by the version that experiments choose, where there are any.

    Args:
        settings: the gateway's.
        tiers: the services of the chain.
        directory: the models.
        hops: to the services.
        cache: of answers, where there shall be one.
        experiments: leads to the experiments service; None: there are no experiments.
        metrics: where calls are counted.
    """
    plain = Answering(tiers, directory, Pipeline(hops, directory), cache)
    if experiments is None:
        yield plain
        return
    ask: RemoteMethod[pb.GetRoutingRequest, pb.GetRoutingResponse] = RemoteMethod(
        EXPERIMENTS, f"/{EVIDENCE}/GetRouting", experiments, metrics
    )
    send: RemoteMethod[pb.RecordEvidenceRequest, pb.RecordEvidenceResponse] = RemoteMethod(
        EXPERIMENTS, f"/{EVIDENCE}/RecordEvidence", experiments, metrics
    )
    aside = Pipeline(open_hops(tiers, directory, metrics, settings, aside=True), directory)
    feed = Feed(ask)
    recorder = Recorder(send, settings.evidence_queue_bytes, min(FLUSH_S, settings.drain_timeout_s))
    shadows = Shadows(
        Answering(tiers, directory, aside, cache),
        hops.busy,
        recorder.record,
        settings.max_shadows,
        settings.default_timeout_s,
    )
    policy = Policy(settings.prediction_log_share, settings.prediction_log_margin, settings.retain_images)
    teller = Teller(recorder.record, policy, random.random)
    await feed.ask()  # so that from the first request on everybody gets the arm that another gateway gives
    async with recorder.running(), background(feed.follow()), shadows.running():
        yield RoutedAnswering(plain, directory, lambda: feed.routes, teller, shadows)


@asynccontextmanager
async def open_experiments(settings: GatewaySettings, tls: Tls | None) -> AsyncIterator[grpc.aio.Channel | None]:
    """Yields a channel to the experiments service; None where there is none."""
    if settings.experiments_target is None:
        yield None
        return
    channel = open_channel(settings.experiments_target, max_message_bytes=settings.max_message_bytes, tls=tls)
    try:
        yield channel
    finally:
        await channel.close()
