"""The chain: preprocess, inference, postprocess, for one accepted call."""

import time
from collections.abc import Sequence
from functools import partial

from gateway.hops import Hops
from gateway.messages import Decoded, Encoded, Inferred, Input, InputKey, Output
from gateway.metrics import observe_stages
from gateway.models import Choice, ModelDirectory
from gateway.requests import Call
from servicekit import context
from triptych.classification.v1 import classification_pb2
from triptych.postprocess.v1 import postprocess_service_pb2 as postprocess_pb


class Pipeline:
    """Takes checked calls through the chain. All or nothing: one bad image fails its call, and is named."""

    def __init__(self, hops: Hops, directory: ModelDirectory) -> None:
        self._hops = hops
        self._directory = directory

    async def classify(self, choice: Choice, call: Call) -> list[classification_pb2.Classification]:
        """Answers a call, one result per image, in order.

        Raises:
            TriptychError: whatever went wrong; for an image, with its field path `images[i].content`.
        """
        start = time.perf_counter()
        inputs = await self._decode(choice, call)
        decoded = time.perf_counter()
        outputs = await self._infer(choice.model, call.version, inputs)
        predicted = time.perf_counter()
        rankings = await self._rank(outputs, call)
        ended = time.perf_counter()
        shared = classification_pb2.Timing(
            total_ms=_rounded((ended - start) * 1e3),
            preprocess_ms=_rounded((decoded - start) * 1e3),
            inference_ms=_rounded((predicted - decoded) * 1e3),
            queue_ms=_rounded(outputs[0].queue_ms),
            compute_ms=_rounded(outputs[0].compute_ms),
            postprocess_ms=_rounded((ended - predicted) * 1e3),
        )
        results = [_result(*each, shared) for each in zip(inputs, outputs, rankings, strict=True)]
        observe_stages(results)
        return results

    async def _decode(self, choice: Choice, call: Call) -> list[Decoded]:
        deadline_s = context.deadline_s()
        images = [Encoded(content, deadline_s, choice.input_bytes) for content in call.images]
        return await self._hops.preprocess.run(choice.model, images)

    async def _infer(self, model: str, version: str, inputs: Sequence[Decoded]) -> list[Inferred]:
        deadline_s = context.deadline_s()
        able = partial(self._directory.is_ready, model, version)
        outputs: dict[int, Inferred] = {}
        for kind in {each.kind for each in inputs}:  # more than one only while a recipe is being changed
            own = [index for index, each in enumerate(inputs) if each.kind == kind]
            rows = [Input(inputs[index].row, deadline_s) for index in own]
            found = await self._hops.inference.run(InputKey(model, version, kind), rows, able)
            outputs.update(zip(own, found, strict=True))
        return [outputs[index] for index in range(len(inputs))]

    async def _rank(self, outputs: Sequence[Inferred], call: Call) -> list[postprocess_pb.Ranking]:
        rankings: dict[int, postprocess_pb.Ranking] = {}
        for key in {each.key for each in outputs}:  # more than one only while versions are being swapped
            own = [index for index, each in enumerate(outputs) if each.key == key]
            rows = [Output(outputs[index].row, call.top_k, call.min_score) for index in own]
            rankings.update(zip(own, await self._hops.postprocess.run(key, rows), strict=True))
        return [rankings[index] for index in range(len(outputs))]


def _rounded(ms: float) -> float:
    return round(ms, 3)  # more digits would be noise, to the clock and to the reader


def _result(
    decoded: Decoded, inferred: Inferred, ranking: postprocess_pb.Ranking, shared: classification_pb2.Timing
) -> classification_pb2.Classification:
    result = classification_pb2.Classification(
        model=inferred.key.model,
        version=inferred.key.version,
        timing=shared,
        predictions=[
            classification_pb2.Prediction(index=item.index, label=item.label, score=item.score)
            for item in ranking.predictions
        ],
    )
    result.timing.decode_ms = _rounded(decoded.decode_ms)
    return result
