"""The three services behind the gateway, opened and probed together."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from gateway.checks import health_check, models_check
from gateway.models import ModelDirectory
from gateway.settings import GatewaySettings
from gateway.tier import Tier
from servicekit.health import Readiness

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
    settings: GatewaySettings, directory: ModelDirectory, readiness: Readiness
) -> AsyncIterator[Tiers]:
    """Opens the channels and keeps checking what is behind them while the context is open."""

    def tier(name: str, target: str, service: str) -> Tier:
        return Tier(name, target, service, settings.max_message_bytes, readiness, settings.hold_s)

    tiers = Tiers(
        tier("preprocess", settings.preprocess_target, PREPROCESS),
        tier("inference", settings.inference_target, INFERENCE),
        tier("postprocess", settings.postprocess_target, POSTPROCESS),
    )
    checks = (
        (tiers.preprocess, health_check(tiers.preprocess, PREPROCESS)),
        (tiers.inference, models_check(tiers.inference, directory, readiness)),
        (tiers.postprocess, health_check(tiers.postprocess, POSTPROCESS)),
    )
    async with AsyncExitStack() as stack:
        for each, check in checks:
            await stack.enter_async_context(each.probed(check, settings.probe_interval_s))
        yield tiers
