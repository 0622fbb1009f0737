"""The three services behind the gateway, opened and probed together."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from gateway.checks import health_check, models_check
from gateway.models import ModelDirectory
from gateway.settings import GatewaySettings
from gateway.tier import Connect, Tier
from servicekit.channel import open_channel
from servicekit.health import Check, Readiness

PREPROCESS = "triptych.preprocess.v1.PreprocessService"
INFERENCE = "triptych.inference.v1.InferenceService"
POSTPROCESS = "triptych.postprocess.v1.PostprocessService"


@dataclass(frozen=True, slots=True)
class Tiers:
    """Are the services, in the order of the chain."""

    preprocess: Tier
    inference: Tier
    postprocess: Tier

    def require(self) -> None:
        """Refuses new work while one of them is away.

        Raises:
            Unavailable: one is.
        """
        for tier in (self.preprocess, self.inference, self.postprocess):
            tier.require()


@asynccontextmanager
async def open_tiers(
    settings: GatewaySettings, directory: ModelDirectory, readiness: Readiness, connect: Connect = open_channel
) -> AsyncIterator[Tiers]:
    """Opens the channels and keeps checking what is behind them while the context is open."""

    def tier(name: str, target: str, service: str, make_check: Callable[[Tier], Check]) -> Tier:
        return Tier(name, target, service, make_check, readiness, settings, connect)

    learn_models = partial(models_check, directory, readiness)
    tiers = Tiers(
        tier("preprocess", settings.preprocess_target, PREPROCESS, partial(health_check, PREPROCESS)),
        tier("inference", settings.inference_target, INFERENCE, learn_models),
        tier("postprocess", settings.postprocess_target, POSTPROCESS, partial(health_check, POSTPROCESS)),
    )
    async with tiers.preprocess.running(), tiers.inference.running(), tiers.postprocess.running():
        yield tiers
