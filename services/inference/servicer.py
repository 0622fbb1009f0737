"""gRPC adapter of the inference service."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import grpc

from servicekit import context as request_context
from servicekit.errors import InvalidArgument, TriptychError, Unavailable
from servicekit.manifest import Manifest
from servicekit.parcel import Parcel
from servicekit.status import to_item
from servicekit.tensors import check, describe
from services.inference.batch import check_input
from services.inference.catalog import LoadedVersions, ascending, choose_version, find_model, state_of
from services.inference.failures import RowOutcomes
from services.inference.pool import TritonPool
from services.inference.predict import Prediction, predict
from triptych.inference.v1 import inference_service_pb2 as pb
from triptych.inference.v1 import inference_service_pb2_grpc as pb_grpc
from triptych.inference.v1 import model_pb2
from triptych.tensor.v1 import tensor_pb2


class InferenceServicer(pb_grpc.InferenceServiceServicer):
    """Fronts a pool of Triton servers."""

    def __init__(
        self,
        manifests: Mapping[str, Manifest],
        pool: TritonPool,
        max_batch: int,
        outcomes: RowOutcomes,
        look_again: Callable[[], object] = lambda: None,
        labels: Callable[[Manifest], Iterable[str]] = lambda _: (),
    ) -> None:
        """Takes what it fronts.

        Args:
            manifests: of the models.
            pool: of Triton servers.
            max_batch: most rows of a batch.
            outcomes: counts how rows ended.
            look_again: has `manifests` say what is published at this very moment.
            labels: returns those of a model; none where they cannot be read.
        """
        self._look_again = look_again
        self._labels = labels
        self._manifests = manifests
        self._pool = pool
        self._max_batch = max_batch
        self._outcomes = outcomes
        self._fingerprints: dict[str, tuple[Manifest, str]] = {}

    async def PredictLogits(  # type: ignore[override]  # messages with a tensor come and go as parcels
        self, parcel: Parcel[pb.PredictLogitsRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> Parcel[pb.PredictLogitsResponse]:
        """Answers with one stacked tensor and an outcome per row."""
        request = parcel.message
        manifest = self._find(request.model, request.version)
        version, loaded = choose_version(manifest, request.version, self._pool.loaded())
        check(request.tensor, parcel.pieces, "tensor")
        rows = check_input(request.tensor, manifest.input, self._max_batch)
        result = await predict(self._pool, manifest, version, loaded, parcel.pieces, _time_left_s(request, rows))
        self._outcomes.record(manifest.name, version, result.errors)
        return _response(manifest, version, result)

    def _find(self, model: str, version: str) -> Manifest:
        """Returns the model's manifest; whoever names a version that is not in it may have heard of it elsewhere."""
        manifest = find_model(self._manifests, model)
        if version and version not in manifest.versions:
            self._look_again()
            manifest = find_model(self._manifests, model)
        return manifest

    async def ListModels(
        self, request: pb.ListModelsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListModelsResponse:
        """Answers with every model of the repository."""
        loaded = self._pool.loaded()
        manifests = [manifest for _, manifest in sorted(self._manifests.items())]
        models = [self._model(manifest, loaded) for manifest in manifests]
        if request.labels:
            for model, manifest in zip(models, manifests, strict=True):
                model.labels.extend(self._labels(manifest))
        return pb.ListModelsResponse(models=models)

    async def GetModel(
        self, request: pb.GetModelRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetModelResponse:
        """Answers with one model."""
        return pb.GetModelResponse(model=self._model(find_model(self._manifests, request.model), self._pool.loaded()))

    def _model(self, manifest: Manifest, loaded: LoadedVersions) -> model_pb2.Model:
        model = _describe(manifest, loaded)
        model.fingerprint = self._fingerprint(manifest)
        return model

    def _fingerprint(self, manifest: Manifest) -> str:
        known = self._fingerprints.get(manifest.name)
        if known is None or known[0] is not manifest:
            known = self._fingerprints[manifest.name] = (manifest, _fingerprint(manifest))
        return known[1]


def _time_left_s(request: pb.PredictLogitsRequest, rows: int) -> list[float]:
    rpc_left_s = request_context.time_left_s()
    if not request.time_left_ms:
        return [rpc_left_s] * rows
    if len(request.time_left_ms) != rows:
        message = f"time_left_ms has {len(request.time_left_ms)} entries for {rows} rows; give one per row, or none."
        raise InvalidArgument(message, field="time_left_ms")
    return [min(left_ms / 1e3, rpc_left_s) for left_ms in request.time_left_ms]


def _response(manifest: Manifest, version: str, result: Prediction) -> Parcel[pb.PredictLogitsResponse]:
    rows = sum(error is None for error in result.errors)
    response = pb.PredictLogitsResponse(
        logits=describe((rows, manifest.output.classes), tensor_pb2.DATA_TYPE_FP32),
        outcomes=[_outcome(error) for error in result.errors],
        model=manifest.name,
        version=version,
        queue_ms=result.queue_s * 1e3,
        compute_ms=result.compute_s * 1e3,
    )
    return Parcel(response, result.logits)


def _outcome(error: TriptychError | None) -> pb.PredictOutcome:
    return pb.PredictOutcome(error=to_item(error)) if error else pb.PredictOutcome(ok=pb.PredictedRow())


def _describe(manifest: Manifest, loaded: LoadedVersions) -> model_pb2.Model:
    states = {version: state_of(manifest, version, loaded) for version in ascending(manifest.versions)}
    return model_pb2.Model(
        name=manifest.name,
        title=manifest.title,
        input_width_px=manifest.input.width,
        input_height_px=manifest.input.height,
        class_count=manifest.output.classes,
        max_batch_size=max(state.max_batch_size for state in states.values()),
        default_version=_default_version(manifest, loaded),
        versions=[
            model_pb2.ModelVersion(
                version=version,
                state=model_pb2.MODEL_STATE_UNAVAILABLE if state.problem else model_pb2.MODEL_STATE_READY,
                detail=state.problem,
                backend=state.backend,
                instances=state.instances,
            )
            for version, state in states.items()
        ],
    )


def _default_version(manifest: Manifest, loaded: LoadedVersions) -> str:
    try:
        return choose_version(manifest, "", loaded)[0]
    except Unavailable:
        return ""


def _fingerprint(manifest: Manifest) -> str:
    return hashlib.sha256(manifest.model_dump_json().encode()).hexdigest()
