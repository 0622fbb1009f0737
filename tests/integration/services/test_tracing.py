"""What the services add to a trace: the work on each image, the call to Triton, the ranking."""

import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from fakes.repository import CLASSES, HEIGHT, WIDTH, manifest, write_model
from fakes.servers import connected, eventually, running_server
from fakes.spans import SAMPLED, UNSAMPLED, Spans
from fakes.tensors import encode
from fakes.triton import QUEUE_FULL, FakeTriton, refusing
from PIL import Image
from prometheus_client import CollectorRegistry

from servicekit.health import Readiness
from servicekit.manifest import Manifest
from servicekit.service import Service
from servicekit.spans import Kind
from services.inference.failures import RowOutcomes
from services.inference.pool import CONDITION, TritonPool
from services.inference.servers import TritonServers
from services.inference.servicer import InferenceServicer
from services.inference.triton import Triton
from services.postprocess.service import open_service as open_postprocess
from services.postprocess.settings import PostprocessSettings
from services.preprocess.service import open_service as open_preprocess
from services.preprocess.settings import PreprocessSettings
from triptych.inference.v1 import inference_service_pb2 as inference_pb
from triptych.inference.v1.inference_service_pb2_grpc import (
    InferenceServiceStub,
    add_InferenceServiceServicer_to_server,
)
from triptych.postprocess.v1 import postprocess_service_pb2 as postprocess_pb
from triptych.postprocess.v1.postprocess_service_pb2_grpc import PostprocessServiceStub
from triptych.preprocess.v1 import preprocess_service_pb2 as preprocess_pb
from triptych.preprocess.v1.preprocess_service_pb2_grpc import PreprocessServiceStub

TINY = Manifest.model_validate(manifest())


@pytest.fixture
def spans() -> Spans:
    """Keeps what the service traces."""
    return Spans()


@asynccontextmanager
async def _serving(service: Service, spans: Spans) -> AsyncIterator[grpc.aio.Channel]:
    async with (
        running_server(service.register, tracer=spans.tracer(), parcels=True) as server,
        connected(server.port) as channel,
    ):
        yield channel


def _with(traceparent: str) -> Any:
    return (("traceparent", traceparent),)


def _picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (9, 7)).save(out, "PNG")
    return out.getvalue()


async def test_each_image_is_a_step(tmp_path: Path, spans: Spans) -> None:
    """It tells what was decoded, or why that failed, and nothing that the picture says."""
    write_model(tmp_path, manifest())
    images = [preprocess_pb.EncodedImage(content=content) for content in (_picture(), b"secret words")]
    request = preprocess_pb.PreprocessImagesRequest(model="tiny", images=images)
    async with (
        open_preprocess(PreprocessSettings(model_repository=tmp_path, decode_threads=1)) as service,
        _serving(service, spans) as channel,
    ):
        await PreprocessServiceStub(channel).PreprocessImages(request, metadata=_with(SAMPLED))
        await eventually(lambda: len(spans.ended) == 3)
        await PreprocessServiceStub(channel).PreprocessImages(request, metadata=_with(UNSAMPLED))

    good, bad = spans.named("decode and resize")
    assert ["PreprocessImages"] + ["PreprocessImages > decode and resize"] * 2 == spans.paths()
    assert ("png", 9, 7) == tuple(
        good.attributes[f"triptych.image.{name}"] for name in ("format", "width_px", "height_px")
    )
    assert ("IMAGE_FORMAT_UNSUPPORTED", True) == (bad.reason, bad.failed)
    assert "secret" not in repr(spans.ended)


async def test_ranking_is_a_step(tmp_path: Path, spans: Spans) -> None:
    """Of a traced message, and of no other."""
    write_model(tmp_path, manifest())
    logits = encode(np.zeros((1, CLASSES), np.float32))
    options = [postprocess_pb.RankOptions(top_k=1)]
    request = postprocess_pb.RankLabelsRequest(model="tiny", version="1", logits=logits, options=options)
    async with (
        open_postprocess(PostprocessSettings(model_repository=tmp_path)) as service,
        _serving(service, spans) as channel,
    ):
        await PostprocessServiceStub(channel).RankLabels(request, metadata=_with(SAMPLED))
        await PostprocessServiceStub(channel).RankLabels(request, metadata=_with(UNSAMPLED))
        await eventually(lambda: len(spans.ended) == 2)

    assert ["RankLabels", "RankLabels > rank"] == spans.paths()


@asynccontextmanager
async def _inference(triton: FakeTriton, spans: Spans) -> AsyncIterator[Any]:
    manifests, readiness = {"tiny": TINY}, Readiness(CONDITION)
    servers = TritonServers([triton.target], partial(Triton, max_message_bytes=2**24))
    pool = TritonPool(servers, manifests, readiness, 0.05)
    servicer = InferenceServicer(manifests, pool, max_batch=16, outcomes=RowOutcomes(CollectorRegistry()))
    service = Service("inference", partial(add_InferenceServiceServicer_to_server, servicer), readiness)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(pool.running())
        channel = await stack.enter_async_context(_serving(service, spans))
        await eventually(lambda: readiness.ready)
        yield InferenceServiceStub(channel)


def _pixels(rows: int = 1) -> inference_pb.PredictLogitsRequest:
    tensor = encode(np.zeros((rows, HEIGHT, WIDTH, 3), np.uint8))
    return inference_pb.PredictLogitsRequest(model="tiny", version="1", tensor=tensor)


async def test_triton_is_told_of_a_trace(spans: Spans) -> None:
    """Its spans are to be children of the call to it."""
    async with FakeTriton(TINY).running() as triton, _inference(triton, spans) as stub:
        await stub.PredictLogits(_pixels(), metadata=_with(SAMPLED))
        await eventually(lambda: len(spans.ended) == 2)

    call = spans.one("ModelInfer")
    assert [call.traceparent] == triton.traceparents
    assert ["PredictLogits", "PredictLogits > ModelInfer"] == spans.paths()
    assert (Kind.CLIENT, "tiny", "1", 1) == (
        call.kind,
        *(call.attributes[f"triptych.{name}"] for name in ("model", "version", "images")),
    )


async def test_a_message_in_parts_has_a_step_for_each(spans: Spans) -> None:
    """What is too large for one request to Triton is several, each with a step of its own."""
    async with FakeTriton(TINY, max_batch_size=2).running() as triton, _inference(triton, spans) as stub:
        await stub.PredictLogits(_pixels(3), metadata=_with(SAMPLED))
        await eventually(lambda: len(spans.ended) == 3)

    assert {call.traceparent for call in spans.named("ModelInfer")} == set(triton.traceparents)
    assert [1, 2] == sorted(int(call.attributes["triptych.images"]) for call in spans.named("ModelInfer"))


@pytest.mark.parametrize("metadata", [None, _with(UNSAMPLED), _with("nonsense")])
async def test_triton_hears_nothing_of_other_requests(spans: Spans, metadata: Any) -> None:
    """It would trace each one that brings a context, whatever the flag says."""
    async with FakeTriton(TINY).running() as triton, _inference(triton, spans) as stub:
        await stub.PredictLogits(_pixels(), metadata=metadata)

    assert ([None], []) == (triton.traceparents, spans.ended)


async def test_a_refusal_of_tritons_has_its_reason(spans: Spans) -> None:
    """A full queue is told as such, although the message as a whole was answered."""
    async with FakeTriton(TINY).running() as triton, _inference(triton, spans) as stub:
        triton.answer = refusing(grpc.StatusCode.UNAVAILABLE, QUEUE_FULL)
        await stub.PredictLogits(_pixels(), metadata=_with(SAMPLED))
        await eventually(lambda: len(spans.ended) == 2)

    call = spans.one("ModelInfer")
    assert ("MODEL_QUEUE_FULL", True, "RESOURCE_EXHAUSTED") == (
        call.reason,
        call.failed,
        call.attributes["rpc.response.status_code"],
    )
    assert ("", False) == (spans.one("PredictLogits").reason, spans.one("PredictLogits").failed)
