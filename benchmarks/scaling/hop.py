"""Measures what one hop between two services costs in CPU, both sides together, when the service does no work.

The hop is what it is in a cluster: a link (docs/adr/0013), our own client and all layers about the server's handler.
"""

import asyncio
import itertools
import logging
import multiprocessing
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, cast

import grpc
import numpy as np
import structlog
import uvloop
from prometheus_client import CollectorRegistry

from servicekit.interceptors import layers_about
from servicekit.link.channel import SCHEME, LinkChannel
from servicekit.link.server import LinkServer
from servicekit.metrics import RpcMetrics
from servicekit.parcel import method_codecs
from servicekit.remote import RemoteMethod
from servicekit.settings import MIB, ProcessSettings
from triptych.inference.v1 import inference_service_pb2 as inference_pb
from triptych.postprocess.v1 import postprocess_service_pb2 as postprocess_pb
from triptych.preprocess.v1 import preprocess_service_pb2 as preprocess_pb
from triptych.tensor.v1 import tensor_pb2

_METHODS = (
    "/triptych.preprocess.v1.PreprocessService/PreprocessImages",
    "/triptych.inference.v1.InferenceService/PredictLogits",
    "/triptych.postprocess.v1.PostprocessService/RankLabels",
)
_HOST = "127.0.0.1"
_IN_FLIGHT = 3


@dataclass(frozen=True, slots=True)
class HopCost:
    """Is a straight line through what was measured: CPU-ms per message, and per million bytes in it."""

    message_ms: float
    mb_ms: float


def measure_hop(*, jpeg_bytes: int, tensor_bytes: int, messages: int = 400) -> HopCost:
    """Sends the chain's three kinds of message, with 1, 4 and 8 images, to a server that answers at once."""
    kinds = list(itertools.product(range(3), (1, 4, 8)))
    points = [_measure(kind, n, jpeg_bytes, tensor_bytes, messages) for kind, n in kinds]
    rows = np.array([(1.0, megabytes) for megabytes, _ in points])
    (message_ms, mb_ms), *_ = np.linalg.lstsq(rows, np.array([ms for _, ms in points]))
    return HopCost(round(float(message_ms), 3), round(float(mb_ms), 3))


def _measure(kind: int, images: int, jpeg_bytes: int, tensor_bytes: int, messages: int) -> tuple[float, float]:
    """Returns the megabytes of question and answer together, and the CPU-ms of one exchange."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    arguments = (theirs, kind, images, jpeg_bytes, tensor_bytes)
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments)
    server.start()
    try:
        request, answer = _messages(kind, images, jpeg_bytes, tensor_bytes)
        client_ms = uvloop.run(_call(ours.recv(), _METHODS[kind], request, messages, ours))
        server_ms = ours.recv()
    finally:
        ours.close()
        server.join(10)
    return (request.ByteSize() + answer.ByteSize()) / 1e6, (client_ms + server_ms) / messages


def _messages(kind: int, images: int, jpeg_bytes: int, tensor_bytes: int) -> tuple[Any, Any]:
    """Returns the question and the answer of preprocess (0), inference (1) or postprocess (2)."""
    tensor = tensor_pb2.Tensor(
        data_type=tensor_pb2.DATA_TYPE_UINT8, shape=[images, 224, 224, 3], data=bytes(images * tensor_bytes)
    )
    logits = tensor_pb2.Tensor(data_type=tensor_pb2.DATA_TYPE_FP32, shape=[images, 1000], data=bytes(images * 4000))
    ranking = postprocess_pb.Ranking(
        predictions=[postprocess_pb.Prediction(index=i, label="a label", score=0.5) for i in range(5)]
    )
    pairs: list[tuple[Any, Any]] = [
        (
            preprocess_pb.PreprocessImagesRequest(
                images=[preprocess_pb.EncodedImage(content=bytes(jpeg_bytes)) for _ in range(images)]
            ),
            preprocess_pb.PreprocessImagesResponse(
                tensor=tensor, outcomes=[preprocess_pb.PreprocessOutcome() for _ in range(images)]
            ),
        ),
        (
            inference_pb.PredictLogitsRequest(tensor=tensor),
            inference_pb.PredictLogitsResponse(
                logits=logits, outcomes=[inference_pb.PredictOutcome() for _ in range(images)]
            ),
        ),
        (
            postprocess_pb.RankLabelsRequest(logits=logits),
            postprocess_pb.RankLabelsResponse(outcomes=[postprocess_pb.RankOutcome(ranking=ranking)] * images),
        ),
    ]
    return pairs[kind]


async def _call(port: int, name: str, request: Any, messages: int, pipe: Connection) -> float:
    """Keeps a few messages in flight and returns this process's CPU-ms, after telling the server when to count."""
    async with AsyncExitStack() as stack:
        channel = LinkChannel(f"{SCHEME}{_HOST}:{port}", max_message_bytes=64 * MIB, only_ready=False)
        stack.push_async_callback(channel.close)
        metrics = RpcMetrics("client", CollectorRegistry())
        method: RemoteMethod[Any, Any] = RemoteMethod("measured", name, cast("grpc.aio.Channel", channel), metrics)
        question = method_codecs(name)[0].decode(request.SerializeToString())

        async def send(count: int) -> None:
            for _ in range(count):
                await method(question, 30)

        async def send_all(count: int) -> float:
            start = time.process_time()
            await asyncio.gather(*(send(count // _IN_FLIGHT) for _ in range(_IN_FLIGHT)))
            return (time.process_time() - start) * 1e3

        await send_all(messages // 4)
        pipe.send("start")
        await asyncio.to_thread(pipe.recv)
        spent_ms = await send_all(messages)
        pipe.send("stop")
        return spent_ms


def _serve(pipe: Connection, kind: int, images: int, jpeg_bytes: int, tensor_bytes: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    _, answer = _messages(kind, images, jpeg_bytes, tensor_bytes)
    uvloop.run(_serve_async(pipe, _METHODS[kind], answer))


async def _serve_async(pipe: Connection, name: str, answer: Any) -> None:
    response = method_codecs(name)[1].decode(answer.SerializeToString())

    async def reply(_request: Any, _context: Any) -> Any:
        return response

    settings = ProcessSettings(request_log=False)
    layers = layers_about(settings, RpcMetrics("server", CollectorRegistry()), edge=False, probes=(), parcels=True)
    server = LinkServer(layers, settings.max_message_bytes)
    service, method = name.strip("/").split("/")
    server.add_registered_method_handlers(service, {method: grpc.unary_unary_rpc_method_handler(reply)})
    pipe.send(await server.start(_HOST, 0))
    await asyncio.to_thread(pipe.recv)
    start = time.process_time()
    pipe.send("counting")
    await asyncio.to_thread(pipe.recv)
    pipe.send((time.process_time() - start) * 1e3)
    await server.stop(0)
