"""The chain: preprocess, inference, postprocess, for one accepted call."""

import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from typing import TypeVar

from gateway.hops import Hops
from gateway.messages import Decoded, Encoded, Inferred, Input, InputKey, Kind, Output, OutputKey
from gateway.metrics import observe_stages
from gateway.models import Choice, ModelDirectory
from gateway.requests import Call
from servicekit import context
from triptych.classification.v1 import classification_pb2
from triptych.postprocess.v1 import postprocess_service_pb2 as postprocess_pb

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


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
        inputs = call.inputs or await self._decode(choice, call)
        if call.inputs is not None:
            call.inputs[:] = inputs
        decoded = time.perf_counter()
        outputs = await self._infer(choice.model, call, inputs)
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

    async def _infer(self, model: str, call: Call, inputs: Sequence[Decoded]) -> list[Inferred]:
        deadline_s, version = context.deadline_s(), call.version
        able = partial(self._able, model, call)

        async def infer(kind: Kind, own: Sequence[Decoded]) -> list[Inferred]:
            rows = [Input(each.row, deadline_s) for each in own]
            return await self._hops.inference.run(InputKey(model, version, kind), rows, able)

        return await _per_key(inputs, lambda each: each.kind, infer)

    def _able(self, model: str, call: Call) -> bool:
        """Says whether to try again: the version is there, or, where another can stand in, that one is."""
        ready = self._directory.is_ready
        return ready(model, call.version) or (call.replaceable and ready(model, ""))

    async def _rank(self, outputs: Sequence[Inferred], call: Call) -> list[postprocess_pb.Ranking]:
        async def rank(key: OutputKey, own: Sequence[Inferred]) -> list[postprocess_pb.Ranking]:
            rows = [Output(each.row, call.top_k, call.min_score) for each in own]
            return await self._hops.postprocess.run(key, rows)

        return await _per_key(outputs, lambda each: each.key, rank)


async def _per_key(
    items: Sequence[Item],
    key_of: Callable[[Item], Key],
    run: Callable[[Key, Sequence[Item]], Awaitable[Sequence[Result]]],
) -> list[Result]:
    """Runs items that share a key together; there is more than one only while recipes or versions are being swapped."""
    results: dict[int, Result] = {}
    for key in dict.fromkeys(map(key_of, items)):
        own = [index for index, each in enumerate(items) if key_of(each) == key]
        results.update(zip(own, await run(key, [items[index] for index in own]), strict=True))
    return [results[index] for index in range(len(items))]


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
