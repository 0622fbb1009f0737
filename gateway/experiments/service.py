"""Wires experiments into the gateway."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc

from gateway.answering import Answering
from gateway.classifier import Answers
from gateway.experiments.answering import RoutedAnswering
from gateway.experiments.feed import INTERVAL_S, Feed
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


@dataclass(frozen=True, slots=True)
class Chain:
    """Is what answers calls where there are no experiments, in parts."""

    tiers: Tiers
    directory: ModelDirectory
    hops: Hops
    cache: ResultCache | None
    """Of answers, where there shall be one."""

    def answering(self, hops: Hops) -> Answering:
        """Returns what answers calls over these hops."""
        return Answering(self.tiers, self.directory, Pipeline(hops, self.directory), self.cache)


@asynccontextmanager
async def open_answering(
    settings: GatewaySettings,
    chain: Chain,
    experiments: grpc.aio.Channel | None,
    metrics: RpcMetrics,
    poll_s: float = INTERVAL_S,
) -> AsyncIterator[Answers]:
    """Yields what answers calls: through the chain, and by the version that experiments choose, where there are any.

    Args:
        settings: the gateway's.
        chain: to the services.
        experiments: leads to the experiments service; None: there are no experiments.
        metrics: where calls are counted.
        poll_s: pause between two questions what runs.
    """
    plain = chain.answering(chain.hops)
    if experiments is None:
        yield plain
        return
    ask: RemoteMethod[pb.GetRoutingRequest, pb.GetRoutingResponse] = RemoteMethod(
        EXPERIMENTS, f"/{EVIDENCE}/GetRouting", experiments, metrics
    )
    send: RemoteMethod[pb.RecordEvidenceRequest, pb.RecordEvidenceResponse] = RemoteMethod(
        EXPERIMENTS, f"/{EVIDENCE}/RecordEvidence", experiments, metrics
    )
    feed = Feed(ask, poll_s)
    recorder = Recorder(send, settings.evidence_queue_bytes, min(FLUSH_S, settings.drain_timeout_s))
    aside = chain.answering(open_hops(chain.tiers, chain.directory, metrics, settings, aside=True))
    shadows = Shadows(aside, chain.hops.busy, recorder.record, settings.max_shadows, settings.default_timeout_s)
    policy = Policy(settings.prediction_log_share, settings.prediction_log_margin, settings.retain_images)
    teller = Teller(recorder.record, policy, random.random)
    await feed.begin()  # so that from the first request on everybody gets the arm that another gateway gives
    async with recorder.running(), background(feed.follow()), shadows.running():
        spend = chain.tiers.inference.budget.spend
        yield RoutedAnswering(plain, chain.directory, lambda: feed.routes, teller, shadows, spend)


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
