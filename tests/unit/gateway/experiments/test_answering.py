"""Which version is asked, in which order, and how it ends for the evidence."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gateway.experiments.answering import RoutedAnswering
from gateway.experiments.evidence import Result
from gateway.experiments.routes import Routes
from gateway.experiments.sampling import Policy
from gateway.experiments.shadows import Shadows
from gateway.experiments.telling import Teller
from gateway.models import ModelDirectory
from gateway.requests import Call
from gateway.retry import RetryBudget
from gateway.routing import Arm, Experiment, Shadow
from servicekit import context
from servicekit.errors import (
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    Reason,
    ResourceExhausted,
    TriptychError,
    Unavailable,
)
from triptych.classification.v1 import classification_pb2
from triptych.experiments.v1 import evidence_service_pb2 as pb
from triptych.inference.v1 import model_pb2

EXPERIMENT = Experiment("speed", "cats", "s", (Arm("candidate", "2", 1.0),), epoch=3, slow_ms=1e6)
FULL = ResourceExhausted("Full.", reason=Reason.MODEL_QUEUE_FULL)
CALL = Call([b"picture"], "", "", 5, 0.0)


@dataclass
class Chain:
    """Answers as it is told to, by version; it remembers what it was asked."""

    errors: dict[str, Exception] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    wait: Callable[[str], Any] | None = None
    computed_ms: float = 0.0

    async def classify(self, call: Call) -> list[Result]:
        """Answers a call."""
        self.calls.append(call)
        if self.wait is not None:
            await self.wait(call.version)
        if call.version in self.errors:
            raise self.errors[call.version]
        timing = classification_pb2.Timing(total_ms=self.computed_ms)
        return [
            classification_pb2.Classification(model=call.model or "cats", version=call.version or "1", timing=timing)
            for _ in call.images
        ]

    @property
    def versions(self) -> list[str]:
        """Returns whom it was asked for."""
        return [call.version for call in self.calls]


@dataclass
class Desk:
    """Is an answering with all about it."""

    chain: Chain = field(default_factory=Chain)
    shadow: Chain = field(default_factory=Chain)
    routes: Routes = field(default_factory=lambda: Routes(1, {"cats": (EXPERIMENT,)}))
    told: list[pb.RecordEvidenceRequest] = field(default_factory=list)
    directory: ModelDirectory = field(default_factory=lambda: ModelDirectory("cats"))
    budget: RetryBudget = field(default_factory=lambda: RetryBudget(capacity=2))

    def __post_init__(self) -> None:
        self.has("1", "2", "3")
        shadows = Shadows(self.shadow, lambda: False, self.told.append, 2, 1.0)
        teller = Teller(self.told.append, Policy(), lambda: 0.5)
        spend = self.budget.spend
        self.answering = RoutedAnswering(self.chain, self.directory, lambda: self.routes, teller, shadows, spend)

    def has(self, *ready: str) -> None:
        """Says which versions take requests; the first is the default."""
        versions = [model_pb2.ModelVersion(version=each, state=model_pb2.MODEL_STATE_READY) for each in ready]
        self.directory.update([model_pb2.Model(name="cats", default_version=ready[0], versions=versions)])

    @property
    def exposure(self) -> tuple[bool, bool, bool]:
        """Returns failed, slow and void of the only exposure."""
        ((exposure,),) = (each.exposures for each in self.told if each.exposures)
        return exposure.failed, exposure.slow, exposure.void


@pytest.fixture
def desk() -> Desk:
    """One whose only arm is version 2."""
    return Desk()


async def test_the_arms_version_is_asked(desk: Desk) -> None:
    """Only that, with the digest that the record has too."""
    (result,) = await desk.answering.classify(CALL)
    ((record,),) = (each.predictions for each in desk.told)

    assert (["2"], "2", "speed", "candidate") == (desk.chain.versions, result.version, result.experiment, result.arm)
    assert list(desk.chain.calls[0].digests) == [record.image_digest]
    assert (False, False, False) == desk.exposure


@pytest.mark.parametrize(
    "error",
    [
        Internal("Broken."),
        Unavailable("Gone."),
        Unavailable("Gone.", reason=Reason.MODEL_NOT_READY),
        NotFound("Gone.", reason=Reason.MODEL_VERSION_NOT_FOUND),
        FULL,
    ],
)
async def test_the_default_version_stands_in(desk: Desk, error: TriptychError) -> None:
    """For what is the version's fault, also that it is gone, which no caller asked for."""
    desk.chain.errors["2"] = error
    (result,) = await desk.answering.classify(CALL)
    ((record,),) = (each.predictions for each in desk.told)

    assert (["2", ""], "1", "candidate") == (desk.chain.versions, result.version, result.arm)
    assert [True, False] == [call.replaceable for call in desk.chain.calls]
    assert ((True, False, False), True, "1") == (desk.exposure, record.fallback, record.version)


@pytest.mark.parametrize(
    ("error", "exposure"),
    [
        (InvalidArgument("Damaged."), (False, False, True)),
        (NotFound("Unknown model."), (False, False, True)),
        (ResourceExhausted("Full."), (True, False, False)),
        (DeadlineExceeded("Late."), (True, False, False)),
        (ValueError("a mistake of ours"), (True, False, False)),
    ],
)
async def test_nobody_stands_in_for_the_rest(desk: Desk, error: Exception, exposure: tuple[bool, bool, bool]) -> None:
    """The caller's own errors say nothing; that the cluster had no room, or no time is left, another cannot mend."""
    desk.chain.errors["2"] = error
    with pytest.raises(type(error)):
        await desk.answering.classify(CALL)

    assert (["2"], exposure) == (desk.chain.versions, desk.exposure)


async def test_nobody_stands_in_for_more_full_queues_than_retries_may_be_made(desk: Desk) -> None:
    """The load of a large part would come upon the other version; failures cost no room, and need no budget."""
    desk.chain.errors["2"] = FULL
    for _ in range(2):
        await desk.answering.classify(CALL)
    with pytest.raises(ResourceExhausted):
        await desk.answering.classify(CALL)
    desk.chain.errors["2"] = Internal("Broken.")
    await desk.answering.classify(CALL)

    assert ["2", "", "2", "", "2", "2", ""] == desk.chain.versions
    assert {True} == {exposure.failed for each in desk.told for exposure in each.exposures}


async def test_nobody_stands_in_for_the_full_queue_of_a_pin(desk: Desk) -> None:
    """It is the load of all who name no version, and no experiment would end it."""
    desk.routes = Routes(1, pins={"cats": "3"})
    desk.chain.errors["3"] = FULL
    with pytest.raises(ResourceExhausted):
        await desk.answering.classify(CALL)

    assert ["3"] == desk.chain.versions


async def test_nobody_stands_in_without_time(desk: Desk) -> None:
    """What is over is over."""
    desk.chain.errors["2"] = Unavailable("Gone.")
    with context.deadline(0), pytest.raises(Unavailable):
        await desk.answering.classify(CALL)

    assert (["2"], (True, False, False)) == (desk.chain.versions, desk.exposure)


async def test_nobody_stands_in_for_the_default_version(desk: Desk) -> None:
    """It would only be asked again; and it may wait for its return, as without an experiment."""
    desk.has("2", "1")
    desk.chain.errors["2"] = Internal("Broken.")
    with pytest.raises(Internal):
        await desk.answering.classify(CALL)

    assert (["2"], [False]) == (desk.chain.versions, [call.replaceable for call in desk.chain.calls])


async def test_the_failure_of_who_stands_in_does_not_hide_the_arms(desk: Desk) -> None:
    """Whatever that is."""
    desk.chain.errors |= {"2": Internal("Broken."), "": InvalidArgument("Damaged.")}
    with pytest.raises(InvalidArgument):
        await desk.answering.classify(CALL)

    assert (True, False, False) == desk.exposure


async def test_a_version_that_is_not_ready_is_not_asked(desk: Desk) -> None:
    """The default one is; the key was dealt all the same."""
    desk.has("1", "3")
    (result,) = await desk.answering.classify(CALL)

    assert ([""], "1", (True, False, False)) == (desk.chain.versions, result.version, desk.exposure)


async def test_a_pin_stands_in_before_the_default(desk: Desk) -> None:
    """While it is ready."""
    desk.routes = replace(desk.routes, pins={"cats": "3"})
    desk.chain.errors["2"] = Internal("Broken.")
    await desk.answering.classify(CALL)
    desk.has("1", "2")
    await desk.answering.classify(CALL)

    assert ["2", "3", "2", ""] == desk.chain.versions


async def test_a_pin_answers_outside_experiments(desk: Desk) -> None:
    """Unless a version is named."""
    desk.routes = Routes(1, pins={"cats": "3"})
    await desk.answering.classify(CALL)
    await desk.answering.classify(replace(CALL, version="1"))

    assert ["3", "1"] == desk.chain.versions


@pytest.mark.parametrize(("slow_ms", "exposure"), [(1e6, (False, False, True)), (1.0, (False, True, False))])
async def test_who_leaves_soon_says_nothing(desk: Desk, slow_ms: float, exposure: tuple[bool, bool, bool]) -> None:
    """Who was kept waiting longer than the rules allow says that the version is late, answer or not."""
    desk.routes = Routes(1, {"cats": (replace(EXPERIMENT, slow_ms=slow_ms),)})
    desk.chain.wait = lambda _: asyncio.sleep(5)
    call = asyncio.create_task(desk.answering.classify(CALL))
    await asyncio.sleep(0.01)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)

    assert exposure == desk.exposure


async def test_a_bad_picture_says_nothing_however_long_it_took(desk: Desk) -> None:
    """The version is not late with what no version could answer."""
    desk.routes = Routes(1, {"cats": (replace(EXPERIMENT, slow_ms=1.0),)})
    desk.chain.wait = lambda _: asyncio.sleep(0.01)
    desk.chain.errors["2"] = InvalidArgument("No picture.", reason=Reason.IMAGE_CORRUPT)
    with pytest.raises(InvalidArgument):
        await desk.answering.classify(CALL)

    assert (False, False, True) == desk.exposure


async def test_who_is_out_of_time_says_that_the_version_failed(desk: Desk) -> None:
    """Late it was as well."""
    desk.routes = Routes(1, {"cats": (replace(EXPERIMENT, slow_ms=1.0),)})
    desk.chain.wait = lambda _: asyncio.sleep(5)
    with context.deadline(0.01), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await desk.answering.classify(CALL)

    assert (True, True, False) == desk.exposure


async def test_who_joins_a_computation_is_as_late_as_that(desk: Desk) -> None:
    """However short the own wait was: a version that more ask has more who join."""
    desk.routes = Routes(1, {"cats": (replace(EXPERIMENT, slow_ms=1000.0),)})
    desk.chain.computed_ms = 1001.0
    await desk.answering.classify(CALL)

    assert (False, True, False) == desk.exposure


async def test_a_remembered_answer_of_who_stands_in_does_not_hide_the_failure(desk: Desk) -> None:
    """What counts is whether the arm's version had to work."""
    desk.chain.errors["2"] = Internal("Broken.")
    await desk.answering.classify(CALL)

    assert [True, False] == [call.remembered is not None for call in desk.chain.calls]
    assert (True, False, False) == desk.exposure


async def test_shadows_are_shown_what_was_answered(desk: Desk) -> None:
    """After the answer, one first class each, whatever the caller asked for."""
    shadowed = replace(EXPERIMENT, shadows=(Shadow("fast", "3", 1.0), Shadow("small", "1", 1.0)))
    desk.routes = Routes(1, {"cats": (shadowed,)})
    await desk.answering.classify(replace(CALL, top_k=3, min_score=0.4))

    assert [] == desk.shadow.calls
    await asyncio.sleep(0.01)
    assert [("1", 1, 0.0, False), ("3", 1, 0.0, False)] == sorted(
        (call.version, call.top_k, call.min_score, call.replaceable) for call in desk.shadow.calls
    )
    assert {"fast", "small"} == {record.shadow for each in desk.told for record in each.shadows}


async def test_a_request_that_failed_is_shown_to_nobody(desk: Desk) -> None:
    """There is nothing to compare."""
    desk.routes = Routes(1, {"cats": (replace(EXPERIMENT, shadows=(Shadow("fast", "3", 1.0),)),)})
    desk.chain.errors["2"] = InvalidArgument("Damaged.")
    with pytest.raises(InvalidArgument):
        await desk.answering.classify(CALL)
    await asyncio.sleep(0.01)

    assert [] == desk.shadow.calls
