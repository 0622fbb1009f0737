"""What is told of shadows, and which of them get a turn."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import pytest
from prometheus_client import REGISTRY

from gateway.experiments.evidence import Result
from gateway.experiments.shadows import Shadows
from gateway.requests import Call
from gateway.routing import Arm, Assignment, Experiment, Shadow
from servicekit.errors import (
    Cancelled,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    Reason,
    ResourceExhausted,
    Unavailable,
)
from triptych.experiments.v1 import evidence_service_pb2 as pb

LIVE = Arm("live", "1", 1.0)
CALL = Call([b"picture"], "cats", "1", 5, 0.0)
SERVED = [Result(model="cats", version="1")]
TIMEOUT_S = 0.05


@dataclass
class Chain:
    """Answers, fails, or hangs where the error is a timeout."""

    error: Exception | None = None
    versions: list[str] = field(default_factory=list)

    async def classify(self, call: Call) -> list[Result]:
        """Answers a call."""
        self.versions.append(call.version)
        if isinstance(self.error, TimeoutError):
            await asyncio.sleep(60)
        if self.error is not None:
            raise self.error
        return [Result(model="cats", version=call.version) for _ in call.images]


async def _shown(chain: Chain, *versions: str, times: int = 1) -> list[pb.ShadowRecord]:
    """Shows a request so many times to shadows of these versions, and returns what was told."""
    told: list[pb.RecordEvidenceRequest] = []
    shadows = Shadows(chain, lambda: False, told.append, 2, TIMEOUT_S)
    seen = tuple(Shadow(f"shadow-{each}", each, 1.0) for each in versions)
    assignment = Assignment(Experiment("look", "cats", "s", (LIVE,), seen), LIVE, seen)
    for _ in range(times):
        shadows.show(assignment, CALL, SERVED)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    if isinstance(chain.error, TimeoutError):
        await asyncio.sleep(2 * TIMEOUT_S)
    return [record for each in told for record in each.shadows]


def _counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("triptych_shadows_total", {"outcome": outcome}) or 0.0


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("Gone."),
        Unavailable("Swapped.", reason=Reason.MODEL_NOT_READY),
        ResourceExhausted("Full."),
        DeadlineExceeded("Late."),
        Cancelled("Left."),
        TimeoutError(),
    ],
)
async def test_load_and_restarts_say_nothing(error: Exception) -> None:
    """They are counted, and nobody is told: the same may have met callers, whose requests would have been held."""
    before = _counted("unfinished"), _counted("failed")
    records = await _shown(Chain(error), "2")

    assert [] == records
    assert (before[0] + 1, before[1]) == (_counted("unfinished"), _counted("failed"))


@pytest.mark.parametrize(
    "error",
    [
        Internal("Broken.", reason=Reason.LOGITS_NOT_FINITE),
        NotFound("Gone.", reason=Reason.MODEL_VERSION_NOT_FOUND),
        InvalidArgument("Another took it."),
        ValueError("a mistake of ours"),
    ],
)
async def test_other_errors_are_the_versions(error: Exception) -> None:
    """Its record has no first class."""
    before = _counted("failed")
    (record,) = await _shown(Chain(error), "2")

    assert ("2", False, before + 1) == (record.version, record.HasField("first"), _counted("failed"))


async def test_each_of_many_shadows_has_its_turn() -> None:
    """Where there is room for two of three, each sees about two thirds, not the first two everything."""
    chain = Chain()
    await _shown(chain, "2", "3", "4", times=90)
    counted = Counter(chain.versions)

    assert 180 == counted.total()
    assert all(35 < counted[each] < 85 for each in "234")
