"""The chain: preprocess, inference, postprocess, for one accepted call."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import uuid_utils

from gateway.metrics import BATCH_IMAGES, observe_stages
from gateway.models import ModelDirectory
from gateway.requests import Call
from gateway.tiers import INFERENCE, POSTPROCESS, PREPROCESS, Tiers
from servicekit import context
from servicekit.errors import Internal, TriptychError
from servicekit.metrics import RpcMetrics
from servicekit.remote import RemoteMethod
from servicekit.status import from_item
from triptych.classification.v1 import classification_pb2
from triptych.inference.v1 import inference_service_pb2 as inference_pb
from triptych.inference.v1 import inference_service_pb2_grpc as inference_grpc
from triptych.postprocess.v1 import postprocess_service_pb2 as postprocess_pb
from triptych.postprocess.v1 import postprocess_service_pb2_grpc as postprocess_grpc
from triptych.preprocess.v1 import preprocess_service_pb2 as preprocess_pb
from triptych.preprocess.v1 import preprocess_service_pb2_grpc as preprocess_grpc
from triptych.tensor.v1 import tensor_pb2


class Pipeline:
    """Takes checked calls through the chain. All or nothing: one bad image fails its call, and is named."""

    def __init__(self, tiers: Tiers, directory: ModelDirectory, metrics: RpcMetrics) -> None:
        self._tiers = tiers
        self._directory = directory
        preprocess = preprocess_grpc.PreprocessServiceStub(tiers.preprocess.channel)
        inference = inference_grpc.InferenceServiceStub(tiers.inference.channel)
        postprocess = postprocess_grpc.PostprocessServiceStub(tiers.postprocess.channel)
        self._preprocess = RemoteMethod(
            "preprocess", f"/{PREPROCESS}/PreprocessImages", preprocess.PreprocessImages, metrics
        )
        self._inference = RemoteMethod("inference", f"/{INFERENCE}/PredictLogits", inference.PredictLogits, metrics)
        self._postprocess = RemoteMethod("postprocess", f"/{POSTPROCESS}/RankLabels", postprocess.RankLabels, metrics)

    async def classify(self, call: Call) -> list[classification_pb2.Classification]:
        """Answers a call, one result per image, in order.

        Raises:
            TriptychError: whatever went wrong; for an image, with its field path `images[i].content`.
        """
        start = time.perf_counter()
        self._tiers.require()
        model = self._directory.resolve(call.model, call.version)
        pre = await self._decode(model, call)
        decoded = time.perf_counter()
        inferred = await self._infer(model, call.version, pre.tensor, len(call.images))
        predicted = time.perf_counter()
        ranked = await self._rank(inferred, call)
        ended = time.perf_counter()
        shared = classification_pb2.Timing(
            total_ms=_rounded((ended - start) * 1e3),
            preprocess_ms=_rounded((decoded - start) * 1e3),
            inference_ms=_rounded((predicted - decoded) * 1e3),
            queue_ms=_rounded(inferred.queue_ms),
            compute_ms=_rounded(inferred.compute_ms),
            postprocess_ms=_rounded((ended - predicted) * 1e3),
        )
        results = [
            _result(inferred, ranking.ranking, shared, image.image.compute_ms)
            for ranking, image in zip(ranked.outcomes, pre.outcomes, strict=True)
        ]
        observe_stages(results)
        return results

    async def _decode(self, model: str, call: Call) -> preprocess_pb.PreprocessImagesResponse:
        time_left_ms = context.time_left_s() * 1e3
        images = [preprocess_pb.EncodedImage(content=content, time_left_ms=time_left_ms) for content in call.images]
        BATCH_IMAGES.labels("preprocess").observe(len(images))
        request = preprocess_pb.PreprocessImagesRequest(model=model, images=images)
        return await self._tiers.preprocess.call(self._preprocess, request, _check(len(images)))

    async def _infer(
        self, model: str, version: str, tensor: tensor_pb2.Tensor, rows: int
    ) -> inference_pb.PredictLogitsResponse:
        request = inference_pb.PredictLogitsRequest(
            model=model, version=version, tensor=tensor, time_left_ms=[context.time_left_s() * 1e3] * rows
        )
        BATCH_IMAGES.labels("inference").observe(rows)
        able = partial(self._directory.is_ready, model, version)
        return await self._tiers.inference.call(self._inference, request, _check(rows), able)

    async def _rank(
        self, inferred: inference_pb.PredictLogitsResponse, call: Call
    ) -> postprocess_pb.RankLabelsResponse:
        options = postprocess_pb.RankOptions(top_k=call.top_k, min_score=call.min_score)
        request = postprocess_pb.RankLabelsRequest(
            model=inferred.model, version=inferred.version, logits=inferred.logits, options=[options] * len(call.images)
        )
        BATCH_IMAGES.labels("postprocess").observe(len(call.images))
        return await self._tiers.postprocess.call(self._postprocess, request, _check(len(call.images)))


def _rounded(ms: float) -> float:
    return round(ms, 3)  # more digits would be noise, to the clock and to the reader


def _check(expected: int) -> Callable[[Any], None]:
    """Returns what raises the first error among an answer's outcomes."""

    def check(response: Any) -> None:
        if len(response.outcomes) != expected:
            raise Internal("A service answered for another number of images than it was asked.")
        for index, outcome in enumerate(response.outcomes):
            if outcome.HasField("error"):
                raise _at_image(from_item(outcome.error), index)

    return check


def _at_image(error: TriptychError, index: int) -> TriptychError:
    """Points an image's own fault at its place in the request; other errors are about the whole call."""
    return error.at(f"images[{index}].content") if error.field == "content" else error


def _result(
    inferred: inference_pb.PredictLogitsResponse,
    ranking: postprocess_pb.Ranking,
    shared: classification_pb2.Timing,
    decode_ms: float,
) -> classification_pb2.Classification:
    result = classification_pb2.Classification(
        model=inferred.model,
        version=inferred.version,
        prediction_id=str(uuid_utils.uuid7()),
        timing=shared,
        predictions=[
            classification_pb2.Prediction(index=item.index, label=item.label, score=item.score)
            for item in ranking.predictions
        ],
    )
    result.timing.decode_ms = _rounded(decode_ms)
    return result
