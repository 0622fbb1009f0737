"""gRPC adapter of the preprocess service."""

import functools
from collections.abc import Mapping
from typing import Any

import grpc
import structlog

from servicekit import context as request_context
from servicekit import tracing
from servicekit.errors import Internal, InvalidArgument, Reason, TriptychError, unknown_model
from servicekit.manifest import Manifest, Recipe
from servicekit.parcel import Parcel
from servicekit.status import to_item
from servicekit.tensors import describe, piece
from services.preprocess.decoder import Decoder, Job, Timed
from services.preprocess.headers import Limits
from services.preprocess.memory import MemoryBudget, decode_within
from services.preprocess.transforms import OVERSAMPLING
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
        max_batch: int,
        oversampling: float = OVERSAMPLING,
    ) -> None:
        self._oversampling = oversampling
        self._budget = budget
        self._manifests = manifests
        self._decoder = decoder
        self._limits = limits
        self._max_batch = max_batch

    async def PreprocessImages(  # type: ignore[override]  # messages with a tensor come and go as parcels
        self, request: pb.PreprocessImagesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> Parcel[pb.PreprocessImagesResponse]:
        """Answers with one stacked tensor and an outcome per image."""
        recipe = self._recipe(request)
        results = await self._decoder.run([self._job(image, recipe) for image in request.images])
        rows = [piece(result.decoded.pixels) for result in results if isinstance(result, Timed)]
        tensor = describe((len(rows), recipe.height, recipe.width, 3), tensor_pb2.DATA_TYPE_UINT8)
        return Parcel(
            pb.PreprocessImagesResponse(tensor=tensor, outcomes=[_outcome(result) for result in results]), rows
        )

    def _recipe(self, request: pb.PreprocessImagesRequest) -> Recipe:
        if not 1 <= len(request.images) <= self._max_batch:
            message = f"A call carries 1 to {self._max_batch} images; this one has {len(request.images)}."
            raise InvalidArgument(
                message, reason=Reason.IMAGES_TOO_MANY if request.images else Reason.IMAGES_MISSING, field="images"
            )
        if request.model not in self._manifests:
            raise unknown_model(request.model)
        return self._manifests[request.model].input

    def _job(self, image: pb.EncodedImage, recipe: Recipe) -> Job:
        time_left_s = image.time_left_ms / 1e3 if image.HasField("time_left_ms") else request_context.time_left_s()
        decode = functools.partial(decode_within, self._budget, image.content, recipe, self._limits, self._oversampling)
        return Job(decode, time_left_s, tracing.current())


def _outcome(result: Timed | Exception) -> pb.PreprocessOutcome:
    if isinstance(result, Exception):
        return pb.PreprocessOutcome(error=to_item(_own(result)))
    image = pb.PreprocessedImage(
        width_px=result.decoded.width_px,
        height_px=result.decoded.height_px,
        format=result.decoded.format.lower(),
        queue_ms=result.queue_s * 1e3,
        compute_ms=result.compute_s * 1e3,
    )
    return pb.PreprocessOutcome(image=image)


def _own(error: Exception) -> TriptychError:
    if isinstance(error, InvalidArgument):
        return error.at("content")
    if isinstance(error, TriptychError):
        return error
    log.error("unexpected error while decoding", exc_info=error)
    return Internal("Something went wrong inside Triptych while this image was decoded.")
