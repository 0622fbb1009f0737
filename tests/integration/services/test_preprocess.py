"""The preprocess service over a real server."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import grpc
import numpy as np
import pytest
from fakes.repository import HEIGHT, WIDTH, manifest
from fakes.scripted import field_of, reason_of
from fakes.servers import connected, eventually, running_server
from fakes.tensors import decode
from PIL import Image
from prometheus_client import REGISTRY

from servicekit.errors import DeadlineExceeded, ResourceExhausted
from servicekit.manifest import Manifest
from services.preprocess.decoder import Decoder, Job, Timed
from services.preprocess.formats.header import Format
from services.preprocess.headers import Limits
from services.preprocess.memory import MemoryBudget
from services.preprocess.servicer import PreprocessServicer
from services.preprocess.transforms import Decoded
from triptych.preprocess.v1 import preprocess_service_pb2 as pb
from triptych.preprocess.v1 import preprocess_service_pb2_grpc as pb_grpc

MANIFESTS = {"tiny": Manifest.model_validate(manifest())}


def _picture(color: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (color, color, color)).save(out, "PNG")
    return out.getvalue()


@asynccontextmanager
async def _serving(
    decoder: Decoder, limits: Limits | None = None, budget: MemoryBudget | None = None
) -> AsyncIterator[grpc.aio.Channel]:
    servicer = PreprocessServicer(MANIFESTS, decoder, budget or MemoryBudget(2**30), limits or Limits(), max_batch=4)
    async with (
        running_server(
            lambda server: pb_grpc.add_PreprocessServiceServicer_to_server(servicer, server), parcels=True
        ) as server,
        connected(server.port) as channel,
    ):
        yield channel


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    """A connection to a service with two threads."""
    with Decoder(2, 8) as decoder:
        async with _serving(decoder) as channel:
            yield channel


async def _preprocess(
    channel: grpc.aio.Channel, *images: pb.EncodedImage, model: str = "tiny"
) -> pb.PreprocessImagesResponse:
    request = pb.PreprocessImagesRequest(model=model, images=images)
    return await pb_grpc.PreprocessServiceStub(channel).PreprocessImages(request, timeout=5)


def _image(content: bytes, time_left_ms: float | None = None) -> pb.EncodedImage:
    return pb.EncodedImage(content=content, time_left_ms=time_left_ms)


async def test_images_become_rows(channel: grpc.aio.Channel) -> None:
    """Every image is one row of the tensor, in order."""
    response = await _preprocess(channel, _image(_picture(10)), _image(_picture(20)))
    rows = decode(response.tensor)

    assert ((2, HEIGHT, WIDTH, 3), [10, 20]) == (rows.shape, [int(np.unique(row).item()) for row in rows])


async def test_an_image_is_described(channel: grpc.aio.Channel) -> None:
    """Its own size and format come back."""
    response = await _preprocess(channel, _image(_picture(1, 40, 30)))
    image = response.outcomes[0].image

    assert (40, 30, "png") == (image.width_px, image.height_px, image.format)


async def test_a_bad_image_leaves_the_others_alone(channel: grpc.aio.Channel) -> None:
    """Good, bad and late images of one batch each have their own outcome; the tensor holds the good ones."""
    response = await _preprocess(
        channel, _image(_picture(10)), _image(b"not an image"), _image(_picture(20), 0), _image(_picture(30), 5000)
    )

    assert ["", "IMAGE_FORMAT_UNSUPPORTED", "DEADLINE_EXCEEDED", ""] == [o.error.reason for o in response.outcomes]
    assert [10, 30] == [int(row.flat[0]) for row in decode(response.tensor)]


async def test_an_images_own_fault_names_its_content(channel: grpc.aio.Channel) -> None:
    """A fault of the image points at `content`; a deadline points nowhere."""
    response = await _preprocess(channel, _image(b""), _image(_picture(20), -1))

    assert ["content", ""] == [outcome.error.field for outcome in response.outcomes]


async def test_no_good_image_gives_an_empty_tensor(channel: grpc.aio.Channel) -> None:
    """M may be 0, and the shape still fits."""
    response = await _preprocess(channel, _image(b"x"))

    assert [0, HEIGHT, WIDTH, 3] == list(response.tensor.shape)


@pytest.mark.parametrize(
    ("code", "reason", "field", "model", "images"),
    [
        ("INVALID_ARGUMENT", "IMAGES_MISSING", "images", "tiny", 0),
        ("INVALID_ARGUMENT", "IMAGES_TOO_MANY", "images", "tiny", 5),
        ("NOT_FOUND", "MODEL_NOT_FOUND", "model", "huge", 1),
        ("NOT_FOUND", "MODEL_NOT_FOUND", "model", "", 1),
    ],
)
async def test_a_bad_batch_is_refused(
    channel: grpc.aio.Channel, code: str, reason: str, field: str, model: str, images: int
) -> None:
    """What concerns the whole batch fails the call and names the field."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _preprocess(channel, *[_image(b"x")] * images, model=model)

    assert (code, reason, field) == (caught.value.code().name, reason_of(caught.value), field_of(caught.value))


async def test_limits_are_the_settings() -> None:
    """An image above the limit of pixels is refused with both numbers."""
    with Decoder(1, 1) as decoder:
        async with _serving(decoder, Limits(max_pixels=7)) as channel:
            response = await _preprocess(channel, _image(_picture(1)))

    assert "IMAGE_DIMENSIONS_EXCEEDED" == response.outcomes[0].error.reason


class _BrokenBudget(MemoryBudget):
    """Fails where nothing is expected to."""

    @contextmanager
    def reserve(self, needed_bytes: int) -> Iterator[None]:
        """Refuses large pictures in a way that nobody foresaw."""
        if needed_bytes > 1000:
            raise RuntimeError("secret")
        yield


async def test_a_broken_decoder_is_told_per_image() -> None:
    """An exception that nobody foresaw fails its image, INTERNAL and without a word of its text."""
    with Decoder(1, 2) as decoder:
        async with _serving(decoder, budget=_BrokenBudget(2**30)) as channel:
            response = await _preprocess(channel, _image(_picture(1, 40, 30)), _image(_picture(2)))
    broken, whole = response.outcomes

    assert ("INTERNAL", False, "") == (broken.error.reason, "secret" in broken.error.message, whole.error.reason)


async def test_a_decoder_without_threads_fails_the_call() -> None:
    """When nothing can be decoded the whole call is INTERNAL, and says nothing of the reason."""
    with Decoder(1, 1) as decoder:
        pass  # its threads are gone
    async with _serving(decoder) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _preprocess(channel, _image(_picture(1)))

    assert ("INTERNAL", False) == (reason_of(caught.value), "shutdown" in str(caught.value.details()))


class _Gate:
    """Holds decoding threads until it is opened, and counts them."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)
        self.count = 0

    def decode(self) -> Decoded:
        """Waits for the gate."""
        self.count += 1
        self.entered.release()
        assert self.opened.wait(5)
        return Decoded(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 1, 1, Format.PNG)

    def jobs(self, count: int = 1) -> list[Job]:
        """Returns jobs that wait for the gate."""
        return [Job(self.decode, 5)] * count


def _waiting() -> int:
    return int(REGISTRY.get_sample_value("triptych_preprocess_waiting_images") or 0)


async def test_a_full_queue_refuses_at_once() -> None:
    """One in work and two waiting are the limit; the fourth is told when to come back."""
    gate = _Gate()
    shed = _shed()
    with Decoder(1, 2) as decoder:
        accepted = [asyncio.ensure_future(decoder.run(gate.jobs())) for _ in range(3)]
        await asyncio.sleep(0)
        (refusal,) = await decoder.run(gate.jobs())
        gate.opened.set()
        await asyncio.gather(*accepted)

    assert isinstance(refusal, ResourceExhausted)
    assert 0.5 == refusal.retry_after_s
    assert 1 == _shed() - shed


def _shed() -> float:
    return REGISTRY.get_sample_value("triptych_shed_total", {"limit": "decode_queue"}) or 0.0


async def test_a_full_queue_refuses_only_what_is_too_much() -> None:
    """Images of one batch that do not fit are refused; the others are decoded."""
    gate = _Gate()
    with Decoder(1, 1) as decoder:
        async with _serving(decoder) as channel:
            blocked = asyncio.ensure_future(decoder.run(gate.jobs()))
            await asyncio.to_thread(gate.entered.acquire)
            call = asyncio.ensure_future(_preprocess(channel, _image(_picture(1)), _image(_picture(2))))
            await eventually(lambda: _waiting() == 2)
            gate.opened.set()
            await blocked
            response = await call

    assert ["", "QUEUE_FULL"] == [outcome.error.reason for outcome in response.outcomes]


async def test_a_batch_is_shared_by_all_threads() -> None:
    """Images of one batch are decoded at the same time, one per thread, and come back in their order."""
    gate = _Gate()
    with Decoder(3, 8) as decoder:
        batch = asyncio.ensure_future(decoder.run([*gate.jobs(3), Job(lambda: _decoded(7), 5), *gate.jobs()]))
        for _ in range(3):
            await asyncio.to_thread(gate.entered.acquire)
        threads = [REGISTRY.get_sample_value(f"triptych_preprocess_{name}threads") for name in ("busy_", "")]
        gate.opened.set()
        results = await batch

    assert [3, 3] == threads
    assert [1, 1, 1, 7, 1] == [result.decoded.width_px for result in results if isinstance(result, Timed)]


async def test_every_job_has_an_outcome_of_its_own() -> None:
    """What one job raises is its own result, and the jobs after it are run."""

    def broken() -> Decoded:
        raise ZeroDivisionError

    with Decoder(1, 8) as decoder:
        results = await decoder.run([Job(lambda: _decoded(1), 5), Job(broken, 5), Job(lambda: _decoded(3), 5)])

    assert [Timed, ZeroDivisionError, Timed] == [type(result) for result in results]


def _decoded(width_px: int) -> Decoded:
    return Decoded(np.zeros((HEIGHT, WIDTH, 3), np.uint8), width_px, 1, Format.PNG)


async def test_what_waited_too_long_is_not_decoded() -> None:
    """An image whose time is up when its turn comes costs nothing more."""
    gate, late = _Gate(), _Gate()
    with Decoder(1, 2) as decoder:
        blocked = asyncio.ensure_future(decoder.run(gate.jobs()))
        await asyncio.to_thread(gate.entered.acquire)
        waiting = asyncio.ensure_future(decoder.run([Job(late.decode, 1e-9)]))
        await asyncio.sleep(0)
        gate.opened.set()
        await blocked
        (result,) = await waiting

    assert isinstance(result, DeadlineExceeded)
    assert 0 == late.count


async def test_an_images_own_time_counts_from_its_arrival() -> None:
    """While another image is in work, the time that an image may still wait runs down over the wire."""
    gate = _Gate()
    with Decoder(1, 2) as decoder:
        async with _serving(decoder) as channel:
            blocked = asyncio.ensure_future(decoder.run(gate.jobs()))
            await asyncio.to_thread(gate.entered.acquire)
            call = asyncio.ensure_future(_preprocess(channel, _image(_picture(1), 1e-6), _image(_picture(2), 60_000)))
            await eventually(lambda: _waiting() == 3)
            gate.opened.set()
            await blocked
            response = await call

    assert ["DEADLINE_EXCEEDED", ""] == [outcome.error.reason for outcome in response.outcomes]


async def test_a_cancelled_wait_frees_its_place() -> None:
    """Nobody waits for an image whose caller has left, nor is it decoded."""
    gate, left = _Gate(), _Gate()
    with Decoder(1, 1) as decoder:
        blocked = asyncio.ensure_future(decoder.run(gate.jobs()))
        waiting = asyncio.ensure_future(decoder.run(left.jobs()))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        again = asyncio.ensure_future(decoder.run(gate.jobs()))
        await asyncio.sleep(0)
        gate.opened.set()
        results = [*await blocked, *await again]

    assert (True, 0, [Timed, Timed]) == (waiting.cancelled(), left.count, [type(result) for result in results])


async def test_the_rest_of_a_cancelled_batch_is_not_decoded() -> None:
    """Of a batch that is left, only what is in work already is finished."""
    gate = _Gate()
    with Decoder(1, 8) as decoder:
        batch = asyncio.ensure_future(decoder.run(gate.jobs(3)))
        await asyncio.to_thread(gate.entered.acquire)
        batch.cancel()
        await asyncio.gather(batch, return_exceptions=True)
        gate.opened.set()
        await decoder.run(gate.jobs())

    assert 2 == gate.count
