"""Who is answered by which version while experiments run, over every transport; the experiments service is scripted."""

import asyncio
import base64
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
import pytest
from fakes.evidence_service import FakeEvidence, experiment
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours, failing_item, honest, model, raising
from fakes.scripted import field_of, reason_of
from fakes.servers import eventually
from prometheus_client import REGISTRY

from servicekit.errors import Code, Internal, InvalidArgument, Reason, ResourceExhausted, TriptychError, Unavailable
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc
from triptych.classification.v1.classification_pb2 import Classification, Image
from triptych.experiments.v1.experiment_pb2 import Arm, Audience
from triptych.inference.v1 import model_pb2

AWAY = model_pb2.MODEL_STATE_UNAVAILABLE


@pytest.fixture
async def behind() -> AsyncIterator[Neighbours]:
    """The three services."""
    async with Neighbours().running() as running:
        yield running


@pytest.fixture
async def gateway(behind: Neighbours, evidence: FakeEvidence) -> AsyncIterator[Gateway]:
    """A gateway that knows of the experiment, ready."""
    async with running_gateway(behind, experiments_target=evidence.target) as running:
        yield running


def _arms(*weights: float) -> list[Arm]:
    names = ("control", "candidate")
    return [
        Arm(name=name, version=str(place + 1), weight=weight)
        for place, (name, weight) in enumerate(zip(names, weights, strict=True))
    ]


async def _ask(gateway: Gateway, *metadata: tuple[str, str], timeout_s: float = 5, **values: Any) -> Classification:
    request = pb.ClassifyRequest(images=[Image(content=b"a")], **{"model": "other", **values})
    stub = pb_grpc.ClassificationServiceStub(gateway.channel)
    return (await stub.Classify(request, timeout=timeout_s, metadata=metadata)).results[0]


async def _ask_as(gateway: Gateway, key: str, **values: Any) -> Classification:
    return await _ask(gateway, ("x-route-key", key), **values)


async def _ask_all(gateway: Gateway, keys: int) -> list[Classification]:
    """Asks once for each of so many keys, 30 at a time."""
    free = asyncio.Semaphore(30)

    async def ask(key: str) -> Classification:
        async with free:
            return await _ask_as(gateway, key, timeout_s=20)

    return await asyncio.gather(*(ask(f"key-{number}") for number in range(keys)))


async def _ask_http(gateway: Gateway, key: str) -> dict[str, Any]:
    body = {"image_base64": base64.b64encode(b"a").decode(), "model": "other"}
    response = await gateway.client.post("/api/v1/classify", json=body, headers={"X-Route-Key": key})
    return dict(response.json())


async def _ask_stream(gateway: Gateway, key: str, frames: int) -> list[pb.ClassifyStreamResponse]:
    stub = pb_grpc.ClassificationServiceStub(gateway.channel)
    call = stub.ClassifyStream(timeout=10, metadata=(("x-route-key", key),))
    answers = []
    for number in range(frames):
        await call.write(pb.ClassifyStreamRequest(frame=number, image=Image(content=b"a"), model="other"))
        answer = await call.read()
        assert isinstance(answer, pb.ClassifyStreamResponse)
        answers.append(answer)
    await call.done_writing()
    return answers


async def _knows(evidence: FakeEvidence) -> None:
    """Waits until the gateway has what runs now."""
    wanted = evidence.routing.revision
    await eventually(lambda: REGISTRY.get_sample_value("triptych_routing_revision") == wanted)


async def _told(evidence: FakeEvidence, exposures: int) -> None:
    await eventually(lambda: len(evidence.told.exposures) >= exposures)


def _failing(version: str, error: TriptychError) -> Any:
    async def answer(request: Any, response: Any) -> Any:
        if request.version == version:
            raise error
        return response

    return answer


async def test_a_key_gets_one_arm_over_every_transport(gateway: Gateway) -> None:
    """The same over gRPC, HTTP and streams; the answer names experiment, arm and the arm's version."""
    for key in (f"user-{number}" for number in range(12)):
        one, again = await _ask_as(gateway, key), await _ask_as(gateway, key)
        over_http = await _ask_http(gateway, key)
        frames = await _ask_stream(gateway, key, 2)

        assert ("speed", one.arm) == (one.experiment, again.arm)
        assert {"control": "1", "candidate": "2"}[one.arm] == one.version
        assert ("speed", one.arm, one.version) == tuple(over_http[name] for name in ("experiment", "arm", "version"))
        assert {(one.arm, one.version)} == {(each.classification.arm, each.classification.version) for each in frames}


async def test_a_stream_without_a_key_stays_with_one_arm(gateway: Gateway) -> None:
    """Its own id is the key of each of its frames."""
    stub = pb_grpc.ClassificationServiceStub(gateway.channel)
    for _ in range(4):
        call = stub.ClassifyStream(timeout=10)
        arms = set()
        for number in range(4):
            await call.write(pb.ClassifyStreamRequest(frame=number, image=Image(content=b"a"), model="other"))
            answer = await call.read()
            assert isinstance(answer, pb.ClassifyStreamResponse)
            arms.add(answer.classification.arm)
        await call.done_writing()

        assert 1 == len(arms)


async def test_without_a_route_key_the_tenant_is_the_key(gateway: Gateway) -> None:
    """And without either, every request is dealt an arm of its own."""
    of_a_tenant = {(await _ask(gateway, ("x-tenant", "shop"))).arm for _ in range(12)}
    of_nobody = {(await _ask(gateway)).arm for _ in range(40)}

    assert (1, 2) == (len(of_a_tenant), len(of_nobody))


async def test_arms_get_their_share(gateway: Gateway, evidence: FakeEvidence) -> None:
    """Of 600 keys within three standard deviations; each is told once, with a hash of its own."""
    evidence.run(experiment(arms=_arms(4, 1)))
    await _knows(evidence)
    answers = await _ask_all(gateway, 600)
    await _told(evidence, 600)
    counted = Counter(each.arm for each in answers)

    assert abs(counted["candidate"] - 120) <= 3 * (600 * 0.2 * 0.8) ** 0.5
    assert counted == Counter(each.arm for each in evidence.told.exposures)
    assert 600 == len({each.key_hash for each in evidence.told.exposures})
    assert {16} == {len(each.key_hash) for each in evidence.told.exposures}
    assert not any(b"key-" in each.key_hash for each in evidence.told.exposures)


async def test_weights_change_under_load(gateway: Gateway, evidence: FakeEvidence) -> None:
    """No request fails, and a key only ever moves to the arm whose weight grew."""
    stop = asyncio.Event()
    seen: dict[str, list[str]] = {f"key-{number}": [] for number in range(30)}

    async def load(keys: list[str]) -> None:
        while not stop.is_set():
            for key in keys:
                seen[key].append((await _ask_as(gateway, key)).arm)

    evidence.run(experiment(arms=_arms(1, 0.01)))
    await _knows(evidence)
    keys = list(seen)
    work = [asyncio.create_task(load(keys[first::3])) for first in range(3)]
    for epoch, weight in enumerate((0.25, 0.5, 1, 2, 4, 8, 1000)):
        evidence.run(experiment(arms=_arms(1, weight), epoch=epoch))
        await _knows(evidence)
        before = {key: len(arms) for key, arms in seen.items()}
        await eventually(partial(_all_asked, seen, before), 30)
    stop.set()
    await asyncio.gather(*work)

    assert {"candidate"} == {arms[-1] for arms in seen.values()}
    assert all("control" not in arms[arms.index("candidate") :] for arms in seen.values())


def _all_asked(seen: dict[str, list[str]], before: dict[str, int]) -> bool:
    """Says whether a whole request of each key has been answered since."""
    return all(len(seen[key]) > count + 1 for key, count in before.items())


@pytest.mark.parametrize(
    "error",
    [
        Internal("Broken."),
        Unavailable("Gone."),
        Unavailable("Gone.", reason=Reason.MODEL_NOT_READY),
        ResourceExhausted("Full.", reason=Reason.MODEL_QUEUE_FULL),
    ],
)
async def test_where_an_arm_fails_the_default_version_answers(
    gateway: Gateway, behind: Neighbours, evidence: FakeEvidence, error: TriptychError
) -> None:
    """No caller sees it, at once; the exposure does, and so does the record of the answer."""
    behind.inference.answer = _failing("2", error)
    began = time.monotonic()
    answers = await asyncio.gather(*(_ask_as(gateway, f"key-{number}") for number in range(40)))
    await _told(evidence, 40)

    assert time.monotonic() - began < 2.5
    assert {("control", "1"), ("candidate", "1")} == {(each.arm, each.version) for each in answers}
    assert {("control", False), ("candidate", True)} == {(each.arm, each.failed) for each in evidence.told.exposures}
    assert {("control", False), ("candidate", True)} == {
        (each.arm, each.fallback) for each in evidence.told.predictions
    }
    assert {"1"} == {each.version for each in evidence.told.predictions}


async def test_a_control_that_fails_is_an_error(gateway: Gateway, behind: Neighbours, evidence: FakeEvidence) -> None:
    """There is nobody else to ask where the default version itself fails; it counts as failed."""
    behind.inference.answer = _failing("1", Internal("Broken."))
    evidence.run(experiment(arms=_arms(1, 1e-9)))
    await _knows(evidence)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _ask(gateway)
    await _told(evidence, 1)

    assert grpc.StatusCode.INTERNAL is caught.value.code()
    assert [("control", True, False)] == [(each.arm, each.failed, each.void) for each in evidence.told.exposures]
    assert [] == list(evidence.told.predictions)


async def test_an_arm_that_is_not_ready_is_stood_in_for(
    gateway: Gateway, behind: Neighbours, evidence: FakeEvidence
) -> None:
    """The default version answers; the key counts as dealt, and as failed."""
    behind.inference.models = [model("tiny"), _unready("other", "1", "2")]
    await eventually(lambda: not _ready())
    answers = [await _ask_as(gateway, f"key-{number}") for number in range(20)]
    await _told(evidence, 20)

    assert {("control", "1"), ("candidate", "1")} == {(each.arm, each.version) for each in answers}
    assert {("control", False), ("candidate", True)} == {(each.arm, each.failed) for each in evidence.told.exposures}


def _unready(name: str, *versions: str) -> model_pb2.Model:
    """Describes a model of which all versions but the first take no requests."""
    described = model(name, *versions)
    for version in described.versions[1:]:
        version.state = AWAY
    return described


def _ready(version: str = "2") -> bool:
    """Says whether the gateway takes a version to be ready."""
    labels = {"model": "other", "version": version, "backend": "openvino", "default": "false"}
    return REGISTRY.get_sample_value("triptych_model_info", labels) == 1


async def test_where_no_version_answers_the_arms_is_waited_for(
    gateway: Gateway, behind: Neighbours, evidence: FakeEvidence
) -> None:
    """That Triton went away altogether is no version's fault: requests in work wait, and their arms answer them."""
    usual, leaves = behind.inference.models, asyncio.Event()

    async def goes(_request: Any, _response: Any) -> Any:
        await leaves.wait()
        raise Unavailable("Gone.", reason=Reason.MODEL_NOT_READY)

    behind.inference.answer = goes
    calls = [asyncio.create_task(_ask_as(gateway, f"key-{number}")) for number in range(8)]
    await eventually(lambda: 8 == sum(each.tensor.shape[0] for each in behind.inference.requests))
    behind.inference.models = [model("tiny", state=AWAY), model("other", "1", "2", state=AWAY)]
    await eventually(lambda: not _ready())
    leaves.set()
    await asyncio.sleep(0.2)
    behind.inference.answer, behind.inference.models = honest, usual
    answers = await asyncio.gather(*calls)
    await _told(evidence, 8)

    assert {("control", "1"), ("candidate", "2")} == {(each.arm, each.version) for each in answers}
    assert {False} == {each.failed for each in evidence.told.exposures}


async def test_a_callers_own_error_says_nothing_of_the_arm(
    gateway: Gateway, behind: Neighbours, evidence: FakeEvidence
) -> None:
    """A picture that cannot be read is no failure, and is not tried with another version."""
    evidence.run(experiment(rules={"slow_ms": 5000}))
    await _knows(evidence)
    damaged = InvalidArgument("Damaged.", reason=Reason.IMAGE_CORRUPT, field="content")
    behind.preprocess.answer = failing_item(0, damaged)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _ask(gateway)
    await _told(evidence, 1)

    assert "IMAGE_CORRUPT" == reason_of(caught.value)
    assert [(False, True)] == [(each.failed, each.void) for each in evidence.told.exposures]
    assert 1 == len(behind.preprocess.requests)


async def test_what_takes_too_long_has_failed_and_who_leaves_has_not(
    gateway: Gateway, behind: Neighbours, evidence: FakeEvidence
) -> None:
    """A deadline that passes is the version's fault; a caller who goes before an answer is late says nothing."""
    evidence.run(experiment(rules={"slow_ms": 250}))
    await _knows(evidence)

    async def holds(_request: Any, _response: Any) -> Any:
        await asyncio.Event().wait()

    behind.inference.answer = holds
    leaving = asyncio.create_task(_ask_as(gateway, "leaving"))
    await eventually(lambda: bool(behind.inference.requests))
    leaving.cancel()
    await _told(evidence, 1)
    body = {"image_base64": "YQ==", "model": "other"}
    late = await gateway.client.post("/api/v1/classify", json=body, headers={"X-Timeout-Ms": "300"})
    await _told(evidence, 2)

    assert 504 == late.status_code
    assert [(False, True, False), (True, False, True)] == [
        (each.failed, each.void, each.slow) for each in evidence.told.exposures
    ]


async def test_late_is_what_the_rules_say(gateway: Gateway, behind: Neighbours, evidence: FakeEvidence) -> None:
    """An answer after 50 ms is late where 40 are allowed."""

    async def slowly(request: Any, response: Any) -> Any:
        await asyncio.sleep(0.05 if request.version == "2" else 0)
        return response

    behind.inference.answer = slowly
    evidence.run(experiment(rules={"slow_ms": 40}))
    await _knows(evidence)
    for number in range(12):
        await _ask_as(gateway, f"key-{number}")
    await _told(evidence, 12)

    assert all(each.slow for each in evidence.told.exposures if each.arm == "candidate")


@pytest.mark.parametrize("named", ["1", "2"])
async def test_who_names_a_version_takes_no_part(gateway: Gateway, evidence: FakeEvidence, named: str) -> None:
    """It gets that version; its record belongs to no experiment."""
    answers = [await _ask_as(gateway, f"key-{number}", version=named) for number in range(6)]
    await eventually(lambda: 6 == len(evidence.told.predictions))

    assert {("", "", named)} == {(each.experiment, each.arm, each.version) for each in answers}
    assert {("", b"")} == {(each.experiment, each.key_hash) for each in evidence.told.predictions}
    assert [] == list(evidence.told.exposures)


async def test_other_models_take_no_part(gateway: Gateway) -> None:
    """The default model's requests are as ever."""
    answer = await _ask(gateway, model="")

    assert ("tiny", "1", "") == (answer.model, answer.version, answer.experiment)


async def test_the_holdout_takes_part_in_nothing(gateway: Gateway, evidence: FakeEvidence) -> None:
    """A third of the keys, whatever the experiment."""
    evidence.run(experiment(arms=_arms(1, 1)), holdout_share=1 / 3)
    await _knows(evidence)
    answers = await _ask_all(gateway, 300)
    out = [each for each in answers if not each.experiment]

    assert abs(len(out) - 100) <= 3 * (300 * 2 / 9) ** 0.5
    assert {"1"} == {each.version for each in out}


async def test_slots_of_a_layer_share_no_key(gateway: Gateway, evidence: FakeEvidence) -> None:
    """Each key takes part in the experiment whose slot it falls in."""
    first, second = experiment("first", slot_end=0.5), experiment("second", slot_begin=0.5)
    evidence.run(first, second)
    await _knows(evidence)
    both = [(await _ask_as(gateway, f"key-{number}")).experiment for number in range(60)]
    evidence.run(second)
    await _knows(evidence)
    alone = [(await _ask_as(gateway, f"key-{number}")).experiment for number in range(60)]

    assert {"first", "second"} == set(both)
    assert [name if name == "second" else "" for name in both] == alone


async def test_an_audience_is_told_by_its_tenant_and_headers(gateway: Gateway, evidence: FakeEvidence) -> None:
    """Both must be right, over either transport."""
    audience = Audience(tenants=["shop"], headers={"X-App": "ios"})
    evidence.run(experiment(audience=audience))
    await _knows(evidence)
    right, wrong = (("x-tenant", "shop"), ("x-app", "ios")), (("x-tenant", "shop"), ("x-app", "web"))
    body = {"image_base64": "YQ==", "model": "other"}
    over_http = await gateway.client.post("/api/v1/classify", json=body, headers=dict(right))

    assert "speed" == (await _ask(gateway, *right)).experiment
    assert "" == (await _ask(gateway, *wrong)).experiment
    assert "" == (await _ask(gateway, ("x-app", "ios"))).experiment
    assert "speed" == over_http.json()["experiment"]


@pytest.mark.parametrize("name", ["x-route-key", "x-tenant"])
async def test_a_long_key_is_refused(gateway: Gateway, name: str) -> None:
    """At most 256 characters, over either transport; the error names the header."""
    await _ask(gateway, (name, "k" * 256))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _ask(gateway, (name, "k" * 257))
    body = {"image_base64": "YQ==", "model": "other"}
    over_http = await gateway.client.post("/api/v1/classify", json=body, headers={name: "k" * 257})

    assert (Code.INVALID_ARGUMENT.value, name) == (caught.value.code().value[0], field_of(caught.value))
    assert 400 == over_http.status_code
    assert name in over_http.text


async def test_a_pinned_version_answers_while_it_is_ready(
    gateway: Gateway, behind: Neighbours, evidence: FakeEvidence
) -> None:
    """Requests that name no version get it, others what they name; when it goes, the default one answers."""
    evidence.run(pins={"other": "2"})
    await _knows(evidence)
    pinned, named = await _ask(gateway), await _ask(gateway, version="1")
    behind.inference.answer = _failing("2", Unavailable("Gone.", reason=Reason.MODEL_NOT_READY))
    failing = await _ask(gateway)
    behind.inference.models = [model("tiny"), _unready("other", "1", "2")]
    await eventually(lambda: not _ready())
    away = await _ask(gateway)

    assert ["2", "1", "1", "1"] == [each.version for each in (pinned, named, failing, away)]


async def test_a_pinned_version_stands_in_for_an_arm(
    gateway: Gateway, behind: Neighbours, evidence: FakeEvidence
) -> None:
    """Where a version is pinned, that one answers in place of an arm that fails."""
    behind.inference.models = [model("tiny"), model("other", "1", "2", "3")]
    arms = [Arm(name="control", version="2", weight=1), Arm(name="candidate", version="3", weight=1)]
    evidence.run(experiment(arms=arms), pins={"other": "2"})
    await _knows(evidence)
    behind.inference.answer = _failing("3", Internal("Broken."))
    await eventually(lambda: _ready("3"))
    answers = [await _ask_as(gateway, f"key-{number}") for number in range(20)]

    assert {("control", "2"), ("candidate", "2")} == {(each.arm, each.version) for each in answers}


async def test_an_experiment_that_makes_no_sense_is_left_out(gateway: Gateway, evidence: FakeEvidence) -> None:
    """The others run all the same, and somebody can see it."""
    before = REGISTRY.get_sample_value("triptych_routing_faults_total") or 0.0
    evidence.run(experiment("broken", arms=_arms(1, -1)), experiment("sound", layer="two"))
    await _knows(evidence)

    assert "sound" == (await _ask(gateway)).experiment
    assert 1 == (REGISTRY.get_sample_value("triptych_routing_faults_total") or 0.0) - before


async def test_what_has_ended_has_no_series(gateway: Gateway, evidence: FakeEvidence) -> None:
    """Requests are counted by experiment and arm, while it runs."""
    evidence.run(experiment("counted", arms=_arms(1, 1e-9)))
    await _knows(evidence)
    await _ask(gateway)
    labels = {"experiment": "counted", "arm": "control", "outcome": "answered"}
    counted = REGISTRY.get_sample_value("triptych_experiment_requests_total", labels)
    evidence.run()
    await _knows(evidence)

    assert (1, None) == (counted, REGISTRY.get_sample_value("triptych_experiment_requests_total", labels))


async def test_keys_and_headers_are_in_no_log(
    gateway: Gateway, behind: Neighbours, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither of what succeeds nor of what fails."""
    caplog.set_level(logging.DEBUG)
    metadata = (("x-route-key", "secret-key"), ("x-tenant", "secret-tenant"), ("authorization", "secret-token"))
    await _ask(gateway, *metadata)
    behind.preprocess.answer = raising(Internal("Broken."))
    with pytest.raises(grpc.aio.AioRpcError):
        await _ask(gateway, *metadata)
    said = "".join(capsys.readouterr()) + caplog.text

    assert "INTERNAL" in said
    assert "secret" not in said


async def test_nothing_goes_on_to_the_services(gateway: Gateway, behind: Neighbours) -> None:
    """What callers send along stays at the gateway."""
    await _ask(gateway, ("x-route-key", "mine"), ("x-tenant", "shop"))
    sent = {name for each in behind.all for metadata in each.metadata for name in metadata}

    assert not {"x-route-key", "x-tenant"} & sent
