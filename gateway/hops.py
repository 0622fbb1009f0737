"""The three hops of the chain: items in, results out, together with whatever else is on its way to the same service."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog

from gateway import messages
from gateway.coalescer import Bounds, Coalescer
from gateway.messages import Decoded, Encoded, Inferred, Input, InputKey, Output, OutputKey
from gateway.metrics import BATCH_IMAGES, HOP_WAIT_SECONDS, show_queue
from gateway.models import ModelDirectory
from gateway.settings import GatewaySettings
from gateway.tier import Tier
from gateway.tiers import INFERENCE, POSTPROCESS, PREPROCESS, Tiers
from servicekit import tracing
from servicekit.errors import Internal, InvalidArgument, TriptychError
from servicekit.metrics import RpcMetrics
from servicekit.remote import RemoteMethod
from servicekit.settings import MIB
from triptych.postprocess.v1 import postprocess_service_pb2 as postprocess_pb

log = structlog.get_logger()

PREPROCESS_IMAGES = f"/{PREPROCESS}/PreprocessImages"
PREDICT_LOGITS = f"/{INFERENCE}/PredictLogits"
RANK_LABELS = f"/{POSTPROCESS}/RankLabels"
LARGE_MESSAGE_BYTES = 2 * MIB
"""Pictures or tensors of more than this together travel apart: what they cost hides what a message costs."""

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item", bound=tuple[Any, ...])
Result = TypeVar("Result")


class Hop(Generic[Key, Item, Result]):
    """Is one service as the chain sees it."""

    def __init__(
        self,
        tier: Tier,
        method: RemoteMethod[Any, Any],
        build: Callable[[Key, Sequence[Item]], Any],
        read: Callable[[Any, Sequence[Item]], list[Result | TriptychError]],
        bounds: Bounds,
        *,
        aside: bool = False,
    ) -> None:
        """Wires the hop.

        Args:
            tier: the service.
            method: its method.
            build: makes a request of items.
            read: takes an answer apart, one result or error per item.
            bounds: of the messages.
            aside: whether its calls are nobody's requests: they are not made again, and nobody waits for them.
        """
        self._tier = tier
        self._aside = aside
        self._method = method
        self._build = build
        self._read = read
        self._observe_size = BATCH_IMAGES.labels(tier.name).observe
        self._coalescer: Coalescer[Key, Item, Result] = Coalescer(
            self._send, _weight, bounds, HOP_WAIT_SECONDS.labels(tier.name).observe
        )
        self.waiting = self._coalescer.waiting
        if not aside:
            show_queue(tier.name, self._coalescer)

    async def run(self, key: Key, items: Sequence[Item], able: Callable[[], bool] = lambda: True) -> list[Result]:
        """Returns a result per item, in order; when the service goes away, waits for it and tries once more.

        Raises:
            TriptychError: the first item's that has one, pointing at its image.
        """

        async def attempt() -> list[Result]:
            return _all_or_nothing(await self._coalescer.run(key, items))

        with tracing.span(self._tier.name) as span:
            if span is not None:
                span.attributes["triptych.images"] = len(items)
            return await (attempt() if self._aside else self._tier.call(attempt, able))

    async def _send(self, key: Key, items: Sequence[Item], timeout_s: float) -> list[Result | TriptychError]:
        self._observe_size(len(items))
        try:
            response = await self._method(self._build(key, items), timeout_s)
        except InvalidArgument as error:  # of the message, which is the gateway's; a caller's fault is an item's
            log.exception("a service refused a message", tier=self._tier.name, items=len(items))
            raise Internal(f"The {self._tier.name} service refused a message of the gateway.") from error
        self._tier.answered()
        return self._read(response, items)


def _weight(item: tuple[Any, ...]) -> int:
    """Returns the bytes that an item adds to the message or to its answer, whichever is larger."""
    return max(len(item.content), item.row_bytes) if isinstance(item, Encoded) else len(item[0])


def _all_or_nothing(results: Sequence[Result | TriptychError]) -> list[Result]:
    good = []
    for index, result in enumerate(results):
        if isinstance(result, TriptychError):
            # An image's own fault is told at its place in the request; other errors are about the whole call.
            raise result.at(f"images[{index}].content") if result.field == "content" else result
        good.append(result)
    return good


@dataclass(frozen=True, slots=True)
class Hops:
    """Are the hops, in the order of the chain."""

    preprocess: Hop[str, Encoded, Decoded]
    """Keyed by model."""
    inference: Hop[InputKey, Input, Inferred]
    postprocess: Hop[OutputKey, Output, postprocess_pb.Ranking]

    def busy(self) -> bool:
        """Says whether images wait for a service."""
        return any(hop.waiting() for hop in (self.preprocess, self.inference, self.postprocess))


def open_hops(
    tiers: Tiers, directory: ModelDirectory, metrics: RpcMetrics, settings: GatewaySettings, *, aside: bool = False
) -> Hops:
    """Wires the hops to their services.

    Args:
        tiers: the services.
        directory: knows how many batches are computed at the same time.
        metrics: where calls are counted.
        settings: the gateway's.
        aside: whether for work that is nobody's request; it then takes no place in the messages of those that are.
    """

    def method(tier: Tier, name: str) -> RemoteMethod[Any, Any]:
        return RemoteMethod(tier.name, name, tier.channel, metrics)

    def bounds(tier: Tier, least: Callable[[], int] = lambda: 1) -> Bounds:
        return Bounds(
            settings.max_message_images,
            LARGE_MESSAGE_BYTES,
            lambda: max(settings.max_messages * tier.replicas, least()),
        )

    def engines() -> int:
        """Lets one message more wait in Triton than it computes: an instance that is done finds the next at once."""
        return directory.instances() + 1

    pre, inf, post = tiers.preprocess, tiers.inference, tiers.postprocess
    to_pre, to_inf, to_post = method(pre, PREPROCESS_IMAGES), method(inf, PREDICT_LOGITS), method(post, RANK_LABELS)
    return Hops(
        Hop(pre, to_pre, messages.preprocess_request, messages.decoded, bounds(pre), aside=aside),
        Hop(inf, to_inf, messages.inference_request, messages.inferred, bounds(inf, engines), aside=aside),
        Hop(post, to_post, messages.postprocess_request, messages.ranked, bounds(post), aside=aside),
    )
