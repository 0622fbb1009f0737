"""Answers calls: what the same image was answered before is remembered, what is being computed is waited for."""

import asyncio
import time
from dataclasses import replace
from functools import partial

import uuid_utils

from gateway.models import Choice, ModelDirectory
from gateway.pipeline import Pipeline
from gateway.requests import Call
from gateway.result_cache import ResultCache, digest, make_key
from gateway.single_flight import SingleFlight
from gateway.tiers import Tiers
from servicekit import tracing
from servicekit.errors import TriptychError
from servicekit.spans import Value
from triptych.classification.v1 import classification_pb2

Result = classification_pb2.Classification


class Answering:
    """Takes checked calls; every result gets an id of its own."""

    def __init__(
        self, tiers: Tiers, directory: ModelDirectory, pipeline: Pipeline, cache: ResultCache | None = None
    ) -> None:
        """Takes the chain, and, where equal images shall be answered once, a cache."""
        self._tiers = tiers
        self._directory = directory
        self._pipeline = pipeline
        self._cache = cache
        self._flights: SingleFlight[Result] = SingleFlight()

    async def classify(self, call: Call) -> list[Result]:
        """Answers a call, one result per image, in order.

        Raises:
            TriptychError: whatever went wrong; for an image, with its field path `images[i].content`.
        """
        self._tiers.require()
        choice = self._directory.resolve(call.model, call.version)
        if self._cache is None:
            results = await self._pipeline.classify(choice, call)
        elif len(call.images) == 1:
            results = [await self._one(self._cache, choice, call)]
        else:
            results = await self._all(self._cache, choice, call)
        if (span := tracing.current()) is not None:
            span.attributes |= _described(results)
        for result in results:
            result.prediction_id = str(uuid_utils.uuid7())
        return results

    async def _all(self, cache: ResultCache, choice: Choice, call: Call) -> list[Result]:
        digests = call.digests or [digest(content) for content in call.images]
        singles = (
            replace(call, images=[content], digests=[each], inputs=None)
            for content, each in zip(call.images, digests, strict=True)
        )
        answers = await asyncio.gather(
            *(self._one(cache, choice, single) for single in singles), return_exceptions=True
        )
        return [_good(answer, index) for index, answer in enumerate(answers)]

    async def _one(self, cache: ResultCache, choice: Choice, call: Call) -> Result:
        began = time.perf_counter()
        content_digest = call.digests[0] if call.digests else digest(call.images[0])
        key = make_key(choice.model, choice.version, choice.fingerprint, content_digest)
        found = cache.get(key, call.top_k, call.min_score)
        if found is not None:
            found.cached = True
            found.timing.total_ms = round((time.perf_counter() - began) * 1e3, 3)
            if call.remembered is not None:
                call.remembered.append(content_digest)
            return found
        shared = Result()
        compute = partial(self._compute, cache, choice, call, content_digest)
        flight = (key, call.version, call.replaceable, call.top_k, call.min_score)
        shared.CopyFrom(await self._flights.run(flight, compute))
        return shared

    async def _compute(self, cache: ResultCache, choice: Choice, call: Call, content_digest: bytes) -> Result:
        (result,) = await self._pipeline.classify(choice, call)
        key = make_key(choice.model, result.version, choice.fingerprint, content_digest)
        cache.put(key, result, call.top_k, call.min_score)
        return result


def _described(results: list[Result]) -> dict[str, Value]:
    return {
        "triptych.model": results[0].model,
        "triptych.version": results[0].version,
        "triptych.images": len(results),
        "triptych.cached_images": sum(result.cached for result in results),
    }


def _good(answer: Result | BaseException, index: int) -> Result:
    """Returns an answer, or raises its error, pointing at the image's place in the call."""
    if isinstance(answer, TriptychError) and answer.field == "images[0].content":
        raise answer.at(f"images[{index}].content")
    if isinstance(answer, BaseException):
        raise answer
    return answer
