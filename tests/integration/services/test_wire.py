"""The services over the wire, of gRPC and of links: parcels, and any client's messages, are the same to them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from fakes.repository import CLASSES, HEIGHT, WIDTH, manifest, write_model
from fakes.scripted import reason_of
from fakes.servers import connected, eventually, link_target, opened, running_server
from fakes.tensors import encode
from fakes.triton import FakeTriton
from google.protobuf.message import Message
from PIL import Image
from prometheus_client import CollectorRegistry

from servicekit.health import Readiness
from servicekit.manifest import Manifest
from servicekit.metrics import RpcMetrics
from servicekit.parcel import Parcel
from servicekit.remote import RemoteMethod
from servicekit.service import Register
from services.inference.failures import RowOutcomes
from services.inference.pool import CONDITION, TritonPool
from services.inference.servers import TritonServers
from services.inference.servicer import InferenceServicer
from services.inference.triton import Triton
from services.postprocess.labels import Calibrations
from services.postprocess.servicer import PostprocessServicer
from services.preprocess.decoder import Decoder
from services.preprocess.headers import Limits
from services.preprocess.memory import MemoryBudget
from services.preprocess.servicer import PreprocessServicer
from triptych.inference.v1 import inference_service_pb2 as inference_pb
from triptych.inference.v1 import inference_service_pb2_grpc as inference_grpc
from triptych.postprocess.v1 import postprocess_service_pb2 as postprocess_pb
from triptych.postprocess.v1 import postprocess_service_pb2_grpc as postprocess_grpc
from triptych.preprocess.v1 import preprocess_service_pb2 as preprocess_pb
from triptych.preprocess.v1 import preprocess_service_pb2_grpc as preprocess_grpc

TINY = Manifest.model_validate(manifest())
PREPROCESS = "/triptych.preprocess.v1.PreprocessService/PreprocessImages"
PREDICT = "/triptych.inference.v1.InferenceService/PredictLogits"
RANK = "/triptych.postprocess.v1.PostprocessService/RankLabels"


@asynccontextmanager
async def _served(transport: str, register: Register) -> AsyncIterator[grpc.aio.Channel]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_server(register, parcels=True))
        channel = connected(server.port) if transport == "grpc" else opened(link_target(server.link_port))
        yield await stack.enter_async_context(channel)


@asynccontextmanager
async def _preprocess(_folder: Path, transport: str) -> AsyncIterator[grpc.aio.Channel]:
    with Decoder(2, 8) as decoder:
        servicer = PreprocessServicer({"tiny": TINY}, decoder, MemoryBudget(2**30), Limits(), max_batch=4)
        async with _served(
            transport, lambda server: preprocess_grpc.add_PreprocessServiceServicer_to_server(servicer, server)
        ) as it:
            yield it


@asynccontextmanager
async def _inference(_folder: Path, transport: str) -> AsyncIterator[grpc.aio.Channel]:
    manifests, readiness = {"tiny": TINY}, Readiness(CONDITION)
    async with FakeTriton(TINY).running() as triton:
        pool = TritonPool(
            TritonServers([triton.target], partial(Triton, max_message_bytes=2**24)), manifests, readiness, 0.05
        )
        servicer = InferenceServicer(manifests, pool, max_batch=16, outcomes=RowOutcomes(CollectorRegistry()))
        async with (
            pool.running(),
            _served(
                transport, lambda server: inference_grpc.add_InferenceServiceServicer_to_server(servicer, server)
            ) as channel,
        ):
            await eventually(lambda: readiness.ready)
            yield channel


@asynccontextmanager
async def _postprocess(folder: Path, transport: str) -> AsyncIterator[grpc.aio.Channel]:
    write_model(folder, manifest())
    servicer = PostprocessServicer(Calibrations(folder), max_batch=4, max_top_k=1000)
    async with _served(
        transport, lambda server: postprocess_grpc.add_PostprocessServiceServicer_to_server(servicer, server)
    ) as it:
        yield it


def _picture(color: int) -> bytes:
    out = BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (color, color, color)).save(out, "PNG")
    return out.getvalue()


IMAGES = preprocess_pb.PreprocessImagesRequest(
    model="tiny", images=[{"content": _picture(7)}, {"content": b"no image"}]
)
ROWS = inference_pb.PredictLogitsRequest(
    model="tiny",
    tensor=encode(np.arange(2 * HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(2, HEIGHT, WIDTH, 3)),
    time_left_ms=[5000, 0],
)
LOGITS = postprocess_pb.RankLabelsRequest(
    model="tiny",
    version="1",
    logits=encode(np.arange(2 * CLASSES, dtype=np.float32).reshape(2, CLASSES)),
    options=[{"top_k": 3}, {"top_k": 0}],
)

SERVICES: dict[str, tuple[Any, str, Message, str, str]] = {
    "preprocess": (_preprocess, PREPROCESS, IMAGES, "", "tensor"),
    "inference": (_inference, PREDICT, ROWS, "tensor", "logits"),
    "postprocess": (_postprocess, RANK, LOGITS, "logits", ""),
}
"""How each is opened, its method, a request of a good and a bad item, and the tensors of request and answer."""

services = pytest.mark.parametrize(
    ("open_", "method", "request_", "asked", "told"),
    [
        pytest.param(partial(open_, transport=transport), *rest, id=f"{name}-{transport}")
        for name, (open_, *rest) in SERVICES.items()
        for transport in ("grpc", "link")
    ],
)


def _plain(channel: grpc.aio.Channel, method: str) -> Callable[..., Any]:
    """Returns a method as a client in any language would call it."""
    stubs: dict[str, Any] = {
        PREPROCESS: preprocess_grpc.PreprocessServiceStub,
        PREDICT: inference_grpc.InferenceServiceStub,
        RANK: postprocess_grpc.PostprocessServiceStub,
    }
    call: Callable[..., Any] = getattr(stubs[method](channel), method.rpartition("/")[2])
    return call


def _apart(message: Any, tensor: str) -> Any:
    """Returns a message as a parcel, in two pieces, if it has a tensor."""
    if not tensor:
        return message
    lean = type(message)()
    lean.CopyFrom(message)
    data = getattr(lean, tensor).data
    getattr(lean, tensor).ClearField("data")
    return Parcel(lean, [data[:5], data[5:]])


def _together(answer: Any, tensor: str) -> Any:
    if not tensor:
        return answer
    getattr(answer.message, tensor).data = b"".join(answer.pieces)
    return answer.message


def _without_times(answer: Any) -> Any:
    for outcome in answer.outcomes:
        if outcome.WhichOneof("result") == "image":
            outcome.image.ClearField("queue_ms")
            outcome.image.ClearField("compute_ms")
    for name in {"queue_ms", "compute_ms"}.intersection(answer.DESCRIPTOR.fields_by_name):
        answer.ClearField(name)
    return answer


@services
async def test_parcels_and_messages_are_answered_alike(
    tmp_path: Path, open_: Any, method: str, request_: Any, asked: str, told: str
) -> None:
    """A generated stub, and the gateway with its parcels, get the same answer to the same request."""
    metrics = RpcMetrics("client", CollectorRegistry())
    async with open_(tmp_path) as channel:
        plain = await _plain(channel, method)(request_, timeout=5)
        remote: RemoteMethod[Any, Any] = RemoteMethod("tested", method, channel, metrics)
        answer = await remote(_apart(request_, asked), 5)

    assert _without_times(plain) == _without_times(_together(answer, told))
    assert [False, True] == [outcome.HasField("error") for outcome in plain.outcomes]


@services
@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda _: b"\xff" * 11, lambda data: data + b"\x1a\x7f"])
async def test_damaged_bytes_are_no_request(
    tmp_path: Path, open_: Any, method: str, request_: Any, asked: str, told: str, damage: Callable[[bytes], bytes]
) -> None:
    """Bytes that end early, or were never a message, are refused as malformed."""
    async with open_(tmp_path) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(method)(damage(request_.SerializeToString()), timeout=5)

    assert (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED") == (caught.value.code(), reason_of(caught.value))
