"""gRPC adapter of the preprocess service."""

import asyncio
import functools
from collections.abc import Mapping
from typing import Any

import grpc
import structlog

from servicekit import context as request_context
from servicekit.errors import Internal, InvalidArgument, Reason, TriptychError, unknown_model
from servicekit.manifest import Manifest, Recipe
from servicekit.status import to_item
from servicekit.tensors import encode_rows
from services.preprocess.decoder import Decoder, Timed
from services.preprocess.headers import Limits
from services.preprocess.memory import MemoryBudget, decode_within
from triptych.preprocess.v1 import preprocess_service_pb2 as pb
from triptych.preprocess.v1 import preprocess_service_pb2_grpc as pb_grpc
from triptych.tensor.v1 import tensor_pb2

log = structlog.get_logger()


class PreprocessServicer(pb_grpc.PreprocessServiceServicer):
    """Decodes every image of a batch on its own; one that fails leaves the others alone."""

    def __init__(
        self,
        manifests: Mapping[str, Manifest],
        decoder: Decoder,
        budget: MemoryBudget,
        limits: Limits,
        max_images: int,
    ) -> None:
        self._budget = budget
        self._manifests = manifests
        self._decoder = decoder
        self._limits = limits
        self._max_images = max_images

    async def PreprocessImages(
        self, request: pb.PreprocessImagesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.PreprocessImagesResponse:
        """Answers with one stacked tensor and an outcome per image."""
        recipe = self._recipe(request)
        results = await asyncio.gather(*(self._decode(image, recipe) for image in request.images))
        rows = [result.decoded.pixels for result in results if isinstance(result, Timed)]
        return pb.PreprocessImagesResponse(
            tensor=encode_rows(rows, (recipe.height, recipe.width, 3), tensor_pb2.DATA_TYPE_UINT8),
            outcomes=[_outcome(result) for result in results],
        )

    def _recipe(self, request: pb.PreprocessImagesRequest) -> Recipe:
        if not 1 <= len(request.images) <= self._max_images:
            message = f"A call carries 1 to {self._max_images} images; this one has {len(request.images)}."
            raise InvalidArgument(
                message, reason=Reason.IMAGES_TOO_MANY if request.images else Reason.IMAGES_MISSING, field="images"
            )
        if request.model not in self._manifests:
            raise unknown_model(request.model)
        return self._manifests[request.model].input

    async def _decode(self, image: pb.EncodedImage, recipe: Recipe) -> Timed | TriptychError:
        time_left_s = image.time_left_ms / 1e3 if image.HasField("time_left_ms") else request_context.time_left_s()
        job = functools.partial(decode_within, self._budget, image.content, recipe, self._limits)
        try:
            return await self._decoder.run(job, time_left_s)
        except InvalidArgument as error:
            return error.at("content")
        except TriptychError as error:
            return error
        except Exception:
            log.exception("unexpected error while decoding")
            return Internal("Something went wrong inside Triptych while this image was decoded.")


def _outcome(result: Timed | TriptychError) -> pb.PreprocessOutcome:
    if isinstance(result, TriptychError):
        return pb.PreprocessOutcome(error=to_item(result))
    image = pb.PreprocessedImage(
        width_px=result.decoded.width_px,
        height_px=result.decoded.height_px,
        format=result.decoded.format.lower(),
        queue_ms=result.queue_s * 1e3,
        compute_ms=result.compute_s * 1e3,
    )
    return pb.PreprocessOutcome(image=image)
