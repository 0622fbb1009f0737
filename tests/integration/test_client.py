"""The clients against a gateway that does as it is told.

`ScriptedGateway` is a fake at the wire: a real gRPC server that speaks ClassificationService, fails as the script says
and otherwise answers each image with its own bytes as the label. It remembers the calls.
"""

import asyncio
import json
import socket
import socketserver
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from typer.testing import CliRunner, Result

from triptych import AsyncClient, Classification, ClassifyError, Client, Frame, Model
from triptych.classification.v1 import classification_pb2, model_pb2
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1.classification_service_pb2_grpc import (
    ClassificationServiceServicer,
    add_ClassificationServiceServicer_to_server,
)
from triptych.cli.__main__ import app
from triptych.client.calls import SERVICE

Context = grpc.ServicerContext
Classify = Callable[..., Awaitable[list[Classification]]]
"""Classifies several images, by one client or the other."""


def answer(image: bytes) -> classification_pb2.Classification:
    """Returns the fake's answer to an image."""
    prediction = classification_pb2.Prediction(index=1, label=image.decode(), score=0.5)
    timing = classification_pb2.Timing(total_ms=1.5)
    return classification_pb2.Classification(
        predictions=[prediction], model="fake", version="1", timing=timing, experiment="rate", arm="b"
    )


def failure(code: grpc.StatusCode, retry_after_s: float | None = None) -> status_pb2.Status:
    """Returns a status as the gateway sends it."""
    info, detail = error_details_pb2.ErrorInfo(reason="SCRIPTED", domain="triptych"), any_pb2.Any()
    detail.Pack(info)
    status = status_pb2.Status(code=code.value[0], message="As scripted.", details=[detail])
    if retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(round(retry_after_s * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


class ScriptedGateway(ClassificationServiceServicer):
    """Fails as often as its script is long."""

    def __init__(self) -> None:
        self.script: list[status_pb2.Status] = []
        self.requests: list[Any] = []
        self.times: list[float] = []
        self.request_ids: list[str] = []
        self.askers: list[tuple[object, object]] = []
        """Route key and tenant of each call."""
        self.port = 0

    def _note(self, request: Any, context: Context) -> None:
        self.requests.append(request)
        self.times.append(time.monotonic())
        sent: dict[str, object] = dict(context.invocation_metadata())
        self.request_ids.append(str(sent["x-request-id"]))
        self.askers.append((sent.get("x-route-key"), sent.get("x-tenant")))
        if self.script:
            context.abort_with_status(rpc_status.to_status(self.script.pop(0)))

    def Classify(self, request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:  # noqa: N802 (gRPC's name)
        """Answers each image with its own bytes."""
        self._note(request, context)
        return pb.ClassifyResponse(results=[answer(image.content) for image in request.images])

    def ClassifyStream(  # noqa: N802 (gRPC's name)
        self, requests: Iterator[pb.ClassifyStreamRequest], context: Context
    ) -> Iterator[pb.ClassifyStreamResponse]:
        """Answers each frame; one that is called `bad` is at fault."""
        for request in requests:
            if request.image.content == b"bad":
                yield pb.ClassifyStreamResponse(
                    frame=request.frame, error=pb.FrameError(code=3, reason="SCRIPTED", message="Bad.")
                )
            else:
                yield pb.ClassifyStreamResponse(frame=request.frame, classification=answer(request.image.content))
        self._note(None, context)

    def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:  # noqa: N802 (gRPC's name)
        """Has two pages of one model each."""
        self._note(request, context)
        name, rest = ("b", "") if request.page_token else ("a", "more")
        return pb.ListModelsResponse(models=[model_pb2.Model(name=name)], next_page_token=rest)

    def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:  # noqa: N802 (gRPC's name)
        """Has every model there is."""
        self._note(request, context)
        version = model_pb2.ModelVersion(version="2", state=model_pb2.MODEL_STATE_READY, backend="openvino")
        return pb.GetModelResponse(model=model_pb2.Model(name=request.model, versions=[version], class_count=10))


@pytest.fixture
def gateway(request: pytest.FixtureRequest) -> Iterator[ScriptedGateway]:
    """Serves the fake, or a kind of it that is the parameter, on a free port."""
    fake, healthy = getattr(request, "param", ScriptedGateway)(), health.HealthServicer()
    healthy.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads, options=[("grpc.max_receive_message_length", -1)])
        add_ClassificationServiceServicer_to_server(fake, server)
        health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
        fake.port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield fake
        server.stop(None).wait()


@pytest.fixture(params=["sync", "aio"])
async def classify(request: pytest.FixtureRequest, gateway: ScriptedGateway) -> AsyncIterator[Classify]:
    """Runs a test with either client: what one does the other does too."""
    if request.param == "aio":
        async with AsyncClient(f"127.0.0.1:{gateway.port}") as client:
            yield client.classify_many
    else:
        with Client(f"127.0.0.1:{gateway.port}") as blocking:
            yield lambda images, **options: asyncio.to_thread(blocking.classify_many, images, **options)


async def test_answers_come_in_order(classify: Classify, gateway: ScriptedGateway) -> None:
    """Forty images take two calls and are answered in their order."""
    images = [str(number).encode() for number in range(40)]
    labels = [result.best.label for result in await classify(images, model="m", top_k=3, request_id="mine")]
    assert [image.decode() for image in images] == labels
    assert [(32, "m", 3), (8, "m", 3)] == [(len(r.images), r.model, r.top_k) for r in gateway.requests]
    assert ["mine", "mine"] == gateway.request_ids


async def test_who_asks_is_sent_and_what_answered_is_told(classify: Classify, gateway: ScriptedGateway) -> None:
    """The route key and the tenant are in every call; results name the experiment and its arm."""
    (result,) = await classify([b"cat"], route_key="ann", tenant="acme")
    await classify([b"cat"])
    assert [("ann", "acme"), (None, None)] == gateway.askers
    assert ("rate", "b") == (result.experiment, result.arm)


def test_who_asks_is_sent_with_a_stream(gateway: ScriptedGateway) -> None:
    """Once, for all its frames."""
    with Client(f"127.0.0.1:{gateway.port}") as client:
        assert 2 == len(list(client.classify_stream([b"a", b"b"], route_key="ann", tenant="acme")))
    assert [("ann", "acme")] == gateway.askers


async def test_an_absent_server_is_asked_again(classify: Classify, gateway: ScriptedGateway) -> None:
    """A call that meets UNAVAILABLE once succeeds, under the same request id."""
    gateway.script = [failure(grpc.StatusCode.UNAVAILABLE)]
    assert "cat" == (await classify([b"cat"]))[0].best.label
    assert 1 == len(set(gateway.request_ids))


async def test_the_servers_pause_is_honoured(classify: Classify, gateway: ScriptedGateway) -> None:
    """A shed call comes back no earlier than the server asked."""
    gateway.script = [failure(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_s=0.2)]
    await classify([b"cat"])
    assert 0.2 <= gateway.times[1] - gateway.times[0]


async def test_there_is_one_retry_at_most(classify: Classify, gateway: ScriptedGateway) -> None:
    """The second failure is final and reaches the caller with all it says."""
    gateway.script = [failure(grpc.StatusCode.UNAVAILABLE)] * 3
    with pytest.raises(ClassifyError) as caught:
        await classify([b"cat"], request_id="mine")
    expected = ("UNAVAILABLE", "SCRIPTED", "As scripted.", "mine")
    assert expected == (caught.value.code, caught.value.reason, caught.value.message, caught.value.request_id)
    assert 2 == len(gateway.requests)


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "INTERNAL", "RESOURCE_EXHAUSTED"])
async def test_final_failures_are_not_repeated(classify: Classify, gateway: ScriptedGateway, code: str) -> None:
    """A request that would fail again, or may have cost work, is sent once."""
    gateway.script = [failure(grpc.StatusCode[code])]
    with pytest.raises(ClassifyError, match=code):
        await classify([b"cat"])
    assert 1 == len(gateway.requests)


async def test_a_pause_beyond_the_deadline_is_not_begun(classify: Classify, gateway: ScriptedGateway) -> None:
    """A caller with little time learns at once that it will not do."""
    gateway.script = [failure(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_s=30)]
    began = time.monotonic()
    with pytest.raises(ClassifyError) as caught:
        await classify([b"cat"], timeout_s=5)
    assert 30 == caught.value.retry_after_s
    assert time.monotonic() - began < 2


async def test_nobody_at_home() -> None:
    """A port where nobody listens is told as such, fast."""
    async with AsyncClient("127.0.0.1:1") as client:
        with pytest.raises(ClassifyError, match=r"Nothing answers at 127\.0\.0\.1:1"):
            await client.classify(b"cat")
        assert not await client.ready()


async def test_images_of_many_megabytes_pass(classify: Classify) -> None:
    """A message above gRPC's usual 4 MiB comes back whole."""
    image = b"x" * 6_000_000
    assert image.decode() == (await classify([image]))[0].best.label


def test_models_of_all_pages(gateway: ScriptedGateway) -> None:
    """The list of models goes on until its last page."""
    with Client(f"127.0.0.1:{gateway.port}") as client:
        assert ["a", "b"] == [model.name for model in client.models()]
        assert (True, 10) == (client.model("c").ready, client.model("c").class_count)
        assert client.ready()


async def test_models_for_asyncio(gateway: ScriptedGateway) -> None:
    """The asyncio client finds the same models."""
    async with AsyncClient(f"127.0.0.1:{gateway.port}") as client:
        assert ["a", "b"] == [model.name for model in await client.models()]
        found: Model = await client.model("c")
        assert ("c", "openvino") == (found.name, found.versions[0].backend)
        assert await client.ready()


def test_frames_of_the_blocking_client(gateway: ScriptedGateway) -> None:
    """`Client.classify_stream` takes plain iterables and answers like the asyncio client."""
    with Client(f"127.0.0.1:{gateway.port}") as client:
        found = list(client.classify_stream(iter([b"a", b"bad", b"c"])))
    assert [(0, "a"), (1, "SCRIPTED"), (2, "c")] == [(frame.number, told(frame)) for frame in found]


async def test_plain_iterables_are_streams_too(gateway: ScriptedGateway) -> None:
    """The asyncio client takes a list of frames as well as an async generator."""
    async with AsyncClient(f"127.0.0.1:{gateway.port}") as client:
        found = [frame async for frame in client.classify_stream([b"a", b"b"])]
    assert [(0, "a"), (1, "b")] == [(frame.number, told(frame)) for frame in found]


def broken() -> Iterator[bytes]:
    """Fails after a frame."""
    yield b"a"
    raise LookupError("no more film")


async def broken_aio() -> AsyncIterator[bytes]:
    """Fails after a frame, for asyncio."""
    for frame in broken():
        yield frame


@pytest.mark.parametrize(
    ("frames", "error", "said"),
    [
        (broken, LookupError, "no more film"),
        (broken_aio, LookupError, "no more film"),
        (lambda: [b"a", "no such file"], FileNotFoundError, "no such file"),
        (lambda: [b"a", 3], TypeError, "not int"),
    ],
)
async def test_the_callers_mistake_comes_back(gateway: ScriptedGateway, frames: Any, error: Any, said: str) -> None:
    """What the source of frames raises is raised as it is, after the answers to what it gave."""
    async with AsyncClient(f"127.0.0.1:{gateway.port}") as client:
        answers = client.classify_stream(frames())
        assert "a" == told(await anext(answers))
        with pytest.raises(error, match=said):
            await anext(answers)


@pytest.mark.parametrize("frames", [b"one image", "one.jpg", 3, None])
async def test_one_image_is_no_stream(gateway: ScriptedGateway, frames: Any) -> None:
    """Something that is no iterable of images is refused by its type."""
    async with AsyncClient(f"127.0.0.1:{gateway.port}") as client:
        with pytest.raises(TypeError, match="iterable of images"):
            _ = [frame async for frame in client.classify_stream(frames)]


def test_the_blocking_callers_mistake_comes_back(gateway: ScriptedGateway) -> None:
    """The blocking client, too, raises what the source of frames raised."""
    with Client(f"127.0.0.1:{gateway.port}") as client, pytest.raises(LookupError, match="no more film"):
        list(client.classify_stream(broken()))


async def test_a_closed_client_says_so(gateway: ScriptedGateway) -> None:
    """Every call on a closed asyncio client raises one error of Python's."""
    client = AsyncClient(f"127.0.0.1:{gateway.port}")
    assert await client.ready()
    await client.close()
    for call in (client.classify(b"a"), client.models(), client.ready(), anext(client.classify_stream([b"a"]))):
        with pytest.raises(RuntimeError, match="This client is closed"):
            await call


def test_a_closed_blocking_client_says_so(gateway: ScriptedGateway) -> None:
    """Every call on a closed client raises one error of Python's."""
    client = Client(f"127.0.0.1:{gateway.port}")
    client.close()
    calls: list[Callable[[], object]] = [
        lambda: client.classify(b"a"),
        client.models,
        client.ready,
        lambda: list(client.classify_stream([b"a"])),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="This client is closed"):
            call()


class WebServer(socketserver.BaseRequestHandler):
    """Answers as servers of HTTP/1 answer what they do not understand."""

    def handle(self) -> None:
        """Refuses."""
        self.request.recv(1024)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def test_a_web_server_is_recognised() -> None:
    """Who asks a server of HTTP/1, such as the gateway's other port, is told so."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), WebServer) as server, ThreadPoolExecutor(1) as thread:
        thread.submit(server.serve_forever, 0.01)
        port = server.server_address[1]
        said = f"127.0.0.1:{port} speaks HTTP, not gRPC"
        with Client(f"127.0.0.1:{port}") as client, pytest.raises(ClassifyError, match=said):
            client.classify(b"cat")
        server.shutdown()


async def test_a_host_without_an_address_is_told() -> None:
    """A name that nobody knows is told as such."""
    async with AsyncClient("no-such-host.invalid") as client:
        with pytest.raises(ClassifyError, match=r"The host of no-such-host\.invalid:8081 cannot be found"):
            await client.classify(b"cat")


def test_a_deadline_is_told_in_seconds() -> None:
    """A call that nobody answers in its time says how long it was given."""
    with (
        socket.create_server(("127.0.0.1", 0)) as deaf,
        Client(f"127.0.0.1:{deaf.getsockname()[1]}") as client,
        pytest.raises(ClassifyError, match=r"No answer within 0\.05 s\."),
    ):
        client.classify(b"cat", timeout_s=0.05)


async def video(*frames: bytes) -> AsyncIterator[bytes]:
    """Yields some frames."""
    for frame in frames:
        yield frame


async def test_a_bad_frame_does_not_end_the_stream(gateway: ScriptedGateway) -> None:
    """Frames are numbered, and the one at fault carries its error."""
    async with AsyncClient(f"127.0.0.1:{gateway.port}") as client:
        found: list[Frame] = [frame async for frame in client.classify_stream(video(b"a", b"bad", b"c"))]
    assert [(0, "a"), (1, "SCRIPTED"), (2, "c")] == [(frame.number, told(frame)) for frame in found]


def told(frame: Frame) -> str:
    """Returns the label or the reason of a frame."""
    if frame.error is not None:
        return frame.error.reason
    assert frame.classification is not None
    return frame.classification.best.label


async def test_a_broken_stream_is_an_error(gateway: ScriptedGateway) -> None:
    """A stream that fails as a whole raises what the server said."""
    gateway.script = [failure(grpc.StatusCode.UNAVAILABLE)]
    async with AsyncClient(f"127.0.0.1:{gateway.port}") as client:
        with pytest.raises(ClassifyError, match="SCRIPTED"):
            _ = [frame async for frame in client.classify_stream(video(b"a"))]


def command(gateway: ScriptedGateway, *words: str, stdin: bytes | None = None) -> Result:
    """Runs `triptych` against the fake."""
    return CliRunner().invoke(app, [*words, "--server", f"127.0.0.1:{gateway.port}"], input=stdin)


def test_one_file_is_one_object(gateway: ScriptedGateway, tmp_path: Path) -> None:
    """`classify --json` of one file prints the object of the HTTP API."""
    (tmp_path / "a").write_bytes(b"cat")
    result = command(gateway, "classify", str(tmp_path / "a"), "--json", "--top-k", "3")
    found = json.loads(result.stdout)
    assert [{"index": 1, "label": "cat", "score": 0.5}] == found["predictions"]
    names = [field.name for field in classification_pb2.Classification.DESCRIPTOR.fields]
    assert ["file", *names] == list(found)
    assert str(tmp_path / "a") == found["file"]
    assert 3 == gateway.requests[0].top_k


def test_several_files_are_a_list(gateway: ScriptedGateway, tmp_path: Path) -> None:
    """`classify --json` of a file and stdin prints a list in their order."""
    (tmp_path / "a").write_bytes(b"cat")
    result = command(gateway, "classify", str(tmp_path / "a"), "-", "--json", stdin=b"dog")
    assert ["cat", "dog"] == [item["predictions"][0]["label"] for item in json.loads(result.stdout)]


class Picky(ScriptedGateway):
    """Refuses calls that hold an image called `bad`, as the gateway does: the whole call, with the image's field."""

    def Classify(self, request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:  # noqa: N802 (gRPC's name)
        """Answers each image with its own bytes."""
        for index, image in enumerate(request.images):
            if image.content == b"bad":
                status = failure(grpc.StatusCode.INVALID_ARGUMENT)
                violation = error_details_pb2.BadRequest.FieldViolation(field=f"images[{index}].content")
                status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
                self.script = [status]
        return super().Classify(request, context)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Makes a folder with three images, one of them bad, and things that are none."""
    for name, content in (("a.jpg", b"cat"), ("b.PNG", b"bad"), ("c.webp", b"dog"), ("notes.txt", b"text")):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "more.jpg").mkdir()
    return tmp_path


@pytest.mark.parametrize("gateway", [Picky], indirect=True)
def test_a_bad_file_does_not_lose_the_others(gateway: ScriptedGateway, folder: Path) -> None:
    """Of a folder, and a file that is not there, all good images are answered; each fault is told; it ends with 1."""
    result = command(gateway, "classify", str(folder), str(folder / "gone.jpg"), "--json")
    assert [str(folder / "a.jpg"), str(folder / "c.webp")] == [item["file"] for item in json.loads(result.stdout)]
    assert ["cat", "dog"] == [item["predictions"][0]["label"] for item in json.loads(result.stdout)]
    assert f"{folder / 'b.PNG'}: As scripted. (SCRIPTED" in result.stderr
    assert f"{folder / 'gone.jpg'}: No such file" in result.stderr
    assert 1 == result.exit_code


def test_the_time_of_a_batch_is_told_once(gateway: ScriptedGateway, folder: Path) -> None:
    """Several images that went in one call share one time, below them; a single one has its own."""
    several = command(gateway, "classify", str(folder)).stdout
    assert (1, True) == (several.count(" ms"), "3 images in 1.5 ms" in several)
    assert "fake version 1, 1.5 ms" in command(gateway, "classify", str(folder / "a.jpg")).stdout


def test_the_table_has_bars(gateway: ScriptedGateway, tmp_path: Path) -> None:
    """`classify` draws the score of each label."""
    (tmp_path / "a").write_bytes(b"cat")
    text = command(gateway, "classify", str(tmp_path / "a")).stdout
    assert "50.0%" in text
    assert "█" * 12 in text


def test_a_refusal_is_told_with_its_reason(gateway: ScriptedGateway, tmp_path: Path) -> None:
    """A failed call ends with 1 and names sentence, reason and request."""
    (tmp_path / "a").write_bytes(b"cat")
    gateway.script = [failure(grpc.StatusCode.INVALID_ARGUMENT)]
    result = command(gateway, "classify", str(tmp_path / "a"))
    assert 1 == result.exit_code
    assert f"As scripted. (SCRIPTED, request {gateway.request_ids[0]})" in result.stderr


def test_models_are_listed(gateway: ScriptedGateway) -> None:
    """`models --json` prints every model."""
    assert ["a", "b"] == [model["name"] for model in json.loads(command(gateway, "models", "--json").stdout)]
