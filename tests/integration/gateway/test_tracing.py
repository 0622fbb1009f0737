"""What traces say of requests: at the gateway, of the services behind it, and of who shares what with whom."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours, raising
from fakes.servers import eventually
from fakes.spans import HOSTILE, PARENT, SAMPLED, TRACE, UNSAMPLED, Spans

from servicekit.errors import Unavailable
from servicekit.spans import Kind
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc
from triptych.classification.v1.classification_pb2 import Image

HOPS = [
    step
    for tier, method in (
        ("inference", "PredictLogits"),
        ("postprocess", "RankLabels"),
        ("preprocess", "PreprocessImages"),
    )
    for step in (f"{tier}", f"{tier} > {method}", f"{tier} > {method} > {method}")
]


@pytest.fixture
def spans() -> Spans:
    """Keeps what the gateway and the services trace."""
    return Spans()


@pytest.fixture(params=[False, True], ids=["grpc", "link"])
async def behind(request: pytest.FixtureRequest, spans: Spans) -> AsyncIterator[Neighbours]:
    """The three services, which trace, behind either transport."""
    async with Neighbours(linked=request.param, tracer=spans.tracer()).running() as running:
        yield running


@pytest.fixture
async def gateway(behind: Neighbours, spans: Spans) -> AsyncIterator[Gateway]:
    """A gateway that traces only who asks for it."""
    async with running_gateway(behind, tracer=spans.tracer()) as running:
        yield running


def _asks(gateway: Gateway, image: str = "a", traceparent: str = SAMPLED, **values: Any) -> Any:
    request = pb.ClassifyRequest(images=[Image(content=image.encode())], **values)
    metadata = (("traceparent", traceparent),) if traceparent else None
    return pb_grpc.ClassificationServiceStub(gateway.channel).Classify(request, timeout=10, metadata=metadata)


async def _posts(gateway: Gateway, content: bytes = b"a", **headers: str) -> int:
    given = {"Content-Type": "image/png", **headers}
    return (await gateway.client.post("/api/v1/classify", content=content, headers=given)).status_code


async def test_a_trace_has_every_hop(gateway: Gateway, spans: Spans) -> None:
    """Each is a part of the request, the message of the hop, the service's work of the message."""
    await _asks(gateway)

    await eventually(lambda: len(spans.ended) == 10)
    assert ["Classify", *(f"Classify > {hop}" for hop in HOPS)] == spans.paths()
    assert PARENT == spans.one("Classify").parent_id


async def test_a_trace_over_http_has_every_hop(gateway: Gateway, spans: Spans) -> None:
    """It differs in the first step only."""
    assert 200 == await _posts(gateway, traceparent=SAMPLED)

    await eventually(lambda: len(spans.ended) == 10)
    assert ["classify", *(f"classify > {hop}" for hop in HOPS)] == spans.paths()
    request = spans.one("POST /api/v1/classify")
    assert (PARENT, Kind.SERVER) == (request.parent_id, request.kind)
    assert {
        "http.request.method": "POST",
        "http.route": "/api/v1/classify",
        "http.response.status_code": 200,
        "url.scheme": "http",
    }.items() <= request.attributes.items()


async def test_a_call_is_described_in_opentelemetrys_words(gateway: Gateway, behind: Neighbours, spans: Spans) -> None:
    """System, method and code stand on both sides of a hop; a link is called by its name."""
    await _asks(gateway)

    await eventually(lambda: len(spans.named("RankLabels")) == 2)
    system = "triptych_link" if behind.postprocess.linked else "grpc"
    for span in spans.named("RankLabels"):
        assert system == span.attributes["rpc.system.name"]
        assert "triptych.postprocess.v1.PostprocessService/RankLabels" == span.attributes["rpc.method"]
        assert "OK" == span.attributes["rpc.response.status_code"]
    assert [Kind.CLIENT, Kind.SERVER] == sorted(
        (span.kind for span in spans.named("RankLabels")), key=[Kind.CLIENT, Kind.SERVER].index
    )
    assert ("tiny", 1) == tuple(spans.one("Classify").attributes[f"triptych.{name}"] for name in ("model", "images"))


@pytest.mark.parametrize("traceparent", ["", UNSAMPLED])
async def test_who_is_not_traced_leaves_nothing(
    gateway: Gateway, behind: Neighbours, spans: Spans, traceparent: str
) -> None:
    """Neither at the gateway nor behind it is there a span, and the services are told so."""
    await _asks(gateway, traceparent=traceparent)
    assert 200 == await _posts(gateway, traceparent=traceparent)

    assert [] == spans.ended
    assert {"00"} == {told["traceparent"][-2:] for each in behind.all for told in each.metadata}


async def test_a_ratio_traces_who_brings_no_trace(behind: Neighbours, spans: Spans) -> None:
    """With 1 all of them, each in a trace of its own; probes and the metrics stay out."""
    async with running_gateway(behind, tracer=spans.tracer(ratio=1.0)) as gateway:
        await _asks(gateway, traceparent="")
        await _posts(gateway)
        await _asks(gateway, traceparent=UNSAMPLED)
        for path in ("/healthz", "/readyz", "/metrics"):
            await gateway.client.get(path)
        await eventually(lambda: len(spans.ended) == 20)

    assert {"Classify", "classify"} == {span.name.rpartition("/")[2] for span in spans.ended if not span.parent_id}
    assert 2 == len({span.trace_id for span in spans.ended})


@pytest.mark.parametrize("traceparent", [value for value in HOSTILE.values() if value == value.strip()])
async def test_a_hostile_trace_is_ignored(gateway: Gateway, spans: Spans, traceparent: str) -> None:
    """The request is answered as without it, over both transports, and nothing is traced."""
    await _asks(gateway, "a", traceparent)
    assert 200 == await _posts(gateway, traceparent=traceparent)

    assert [] == spans.ended


async def test_a_trace_that_comes_twice_is_ignored(gateway: Gateway, spans: Spans) -> None:
    """As W3C wants it, since nobody knows which is meant; over gRPC the library lets only one through."""
    headers = [("Content-Type", "image/png"), ("traceparent", SAMPLED), ("traceparent", SAMPLED)]
    response = await gateway.client.post("/api/v1/classify", content=b"a", headers=headers)

    assert (200, []) == (response.status_code, spans.ended)


async def test_a_failing_hop_says_why(gateway: Gateway, behind: Neighbours, spans: Spans) -> None:
    """From the service that failed up to the request, each step has the reason, and none what was sent."""
    behind.inference.answer = raising(Unavailable("cat-of-john.jpg is away", retry_after_s=1.0))
    with pytest.raises(grpc.aio.AioRpcError):
        await _asks(gateway, "secret-picture")

    await eventually(lambda: bool(spans.named("Classify")))
    steps = [*spans.named("PredictLogits"), spans.one("inference"), spans.one("Classify")]
    assert {("DEPENDENCY_UNAVAILABLE", True)} == {(span.reason, span.failed) for span in steps}
    assert {"UNAVAILABLE"} == {
        span.attributes["rpc.response.status_code"] for span in steps if span.kind is not Kind.INTERNAL
    }
    assert "secret" not in repr(spans.ended)
    assert "john" not in repr(spans.ended)


async def test_what_is_shed_failed(behind: Neighbours, spans: Spans) -> None:
    """A request that is refused for want of room says so, over both transports, with no step below."""
    async with running_gateway(behind, tracer=spans.tracer(), max_in_flight=1) as gateway:
        images = [Image(content=b"a"), Image(content=b"b")]
        with pytest.raises(grpc.aio.AioRpcError):
            await pb_grpc.ClassificationServiceStub(gateway.channel).Classify(
                pb.ClassifyRequest(images=images), metadata=(("traceparent", SAMPLED),)
            )
        files = [("image", ("secret-name.png", b"a")), ("image", ("secret-name.png", b"b"))]
        refused = await gateway.client.post("/api/v1/classify", files=files, headers={"traceparent": SAMPLED})
        await eventually(lambda: len(spans.ended) == 2)

    assert 429 == refused.status_code
    assert [("QUEUE_FULL", True)] * 2 == [(span.reason, span.failed) for span in spans.ended]
    assert "secret" not in repr(spans.ended)


async def test_a_bad_request_is_no_failure(gateway: Gateway, spans: Spans) -> None:
    """The reason is noted, and the service did right."""
    with pytest.raises(grpc.aio.AioRpcError):
        await _asks(gateway, top_k=9999)
    assert 400 == await _posts(gateway, b"", traceparent=SAMPLED)
    await gateway.client.get("/secret-path", headers={"traceparent": SAMPLED})

    await eventually(lambda: len(spans.ended) == 3)
    assert [False] * 3 == [span.failed for span in spans.ended]
    assert ["FIELD_INVALID", "IMAGE_EMPTY", "METHOD_NOT_FOUND"] == [span.reason for span in spans.ended]
    assert "secret" not in repr(spans.ended)


async def test_every_frame_is_a_step(gateway: Gateway, spans: Spans) -> None:
    """A traced stream has a step for each frame, with its hops, and none for the stream, which may last for hours."""
    call = pb_grpc.ClassificationServiceStub(gateway.channel).ClassifyStream(
        timeout=10, metadata=(("traceparent", SAMPLED),)
    )
    for number in (1, 2):
        await call.write(pb.ClassifyStreamRequest(frame=number, image=Image(content=b"a")))
        await call.read()
    await call.done_writing()

    await eventually(lambda: len(spans.ended) == 20)
    assert [PARENT] * 2 == [span.parent_id for span in spans.named("ClassifyStream frame")]
    assert 2 == spans.paths().count("ClassifyStream frame > preprocess > PreprocessImages > PreprocessImages")


async def test_frames_without_a_trace_get_one_each(behind: Neighbours, spans: Spans) -> None:
    """So that no trace grows as long as a video."""
    async with running_gateway(behind, serve_http=False, tracer=spans.tracer(1.0)) as gateway:
        call = pb_grpc.ClassificationServiceStub(gateway.channel).ClassifyStream(timeout=10)
        for number in (1, 2):
            await call.write(pb.ClassifyStreamRequest(frame=number, image=Image(content=b"a")))
            await call.read()
        await call.done_writing()
        await eventually(lambda: len(spans.ended) == 20)

    assert 2 == len({span.trace_id for span in spans.ended})


def _other(digit: str, flag: str = "01") -> str:
    return f"00-{digit * 32}-{digit * 16}-{flag}"


async def test_callers_who_share_a_message_see_it_in_their_own_traces(
    behind: Neighbours, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It belongs to the first who is traced; the others have the hop, with links both ways; who is not has nothing."""
    monkeypatch.setattr("gateway.coalescer.PATIENCE_S", 1000.0)
    goes_on = asyncio.Event()

    async def waits(_request: Any, response: Any) -> Any:
        await goes_on.wait()
        return response

    behind.preprocess.answer = waits
    async with running_gateway(behind, serve_http=False, tracer=spans.tracer(), max_messages=1) as gateway:
        first = asyncio.ensure_future(_asks(gateway, "a", traceparent=""))
        await eventually(lambda: len(behind.preprocess.requests) == 1)
        others = [_other("1", "00"), _other("2"), _other("3")]
        calls = [
            asyncio.ensure_future(_asks(gateway, letter, given)) for letter, given in zip("bcd", others, strict=True)
        ]
        coalescer: Any = gateway.hops.preprocess._coalescer
        await eventually(lambda: sum(map(len, coalescer._waiting.values())) == 3)
        goes_on.set()
        await asyncio.gather(first, *calls)
        await eventually(lambda: len(spans.named("Classify")) == 2)

    whole, linked = (spans.paths(digit * 32) for digit in "23")
    assert "Classify > preprocess > PreprocessImages > PreprocessImages" in whole
    assert {"Classify > preprocess", "Classify > inference", "Classify > postprocess"} <= {*whole} & {*linked}
    assert "Classify > preprocess > PreprocessImages" not in linked
    message = next(s for s in spans.named("PreprocessImages") if s.kind is Kind.CLIENT)
    hop = next(span for span in spans.named("preprocess") if span.trace_id == "3" * 32)
    assert [(hop.trace_id, hop.span_id)] == message.links
    assert [(message.trace_id, message.span_id)] == hop.links
    assert [] == spans.paths("1" * 32)


async def test_an_answer_from_another_request_is_linked(behind: Neighbours, spans: Spans) -> None:
    """Who waits for the same image as another has no hops, and finds them in that one's trace."""
    goes_on = asyncio.Event()

    async def waits(_request: Any, response: Any) -> Any:
        await goes_on.wait()
        return response

    behind.preprocess.answer = waits
    async with running_gateway(behind, serve_http=False, tracer=spans.tracer(), result_cache_bytes=2**20) as gateway:
        first = asyncio.ensure_future(_asks(gateway, "a", _other("1")))
        await eventually(lambda: len(behind.preprocess.requests) == 1)
        second = asyncio.ensure_future(_asks(gateway, "a", _other("2")))
        third = asyncio.ensure_future(_asks(gateway, "b", _other("3")))
        await eventually(lambda: len(behind.preprocess.requests) == 2)
        goes_on.set()
        await asyncio.gather(first, second, third)
        await _asks(gateway, "a", _other("4"))
        await eventually(lambda: len(spans.named("Classify")) == 4)

    by_trace = {span.trace_id[0]: span for span in spans.named("Classify")}
    assert ["Classify"] == spans.paths("2" * 32)
    assert [("1" * 32, by_trace["1"].span_id)] == by_trace["2"].links
    assert [] == by_trace["3"].links
    assert (["Classify"], 1) == (spans.paths("4" * 32), by_trace["4"].attributes["triptych.cached_images"])


async def test_the_trace_of_the_caller_is_told_in_any_case(behind: Neighbours) -> None:
    """A gateway that traces nothing hands a caller's trace on as it came, for the logs of all processes."""
    async with running_gateway(behind, serve_http=False) as gateway:
        await _asks(gateway)

    assert {SAMPLED} == {
        told["traceparent"]
        for each in behind.all
        for told in each.metadata
        if told.get("traceparent", "")[3:35] == TRACE
    }
