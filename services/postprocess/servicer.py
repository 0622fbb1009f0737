"""gRPC adapter of the postprocess service."""

from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from servicekit import tracing
from servicekit.errors import Internal, InvalidArgument, Reason, TriptychError
from servicekit.parcel import Parcel
from servicekit.status import to_item
from servicekit.tensors import check, floats
from services.postprocess.labels import Calibration, Calibrations
from services.postprocess.ranking import Ranked, rank
from triptych.postprocess.v1 import postprocess_service_pb2 as pb
from triptych.postprocess.v1 import postprocess_service_pb2_grpc as pb_grpc
from triptych.tensor.v1 import tensor_pb2


class PostprocessServicer(pb_grpc.PostprocessServiceServicer):
    """Ranks every row of a batch; a row at fault leaves the others alone."""

    def __init__(self, calibrations: Calibrations, max_batch: int, max_top_k: int) -> None:
        self._calibrations = calibrations
        self._max_batch = max_batch
        self._max_top_k = max_top_k

    async def RankLabels(  # type: ignore[override]  # messages with a tensor come as parcels
        self, parcel: Parcel[pb.RankLabelsRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.RankLabelsResponse:
        """Answers with an outcome per row."""
        request = parcel.message
        calibration = self._calibrations.find(request.model, request.version)
        logits = self._logits(parcel, len(calibration.labels))
        faults = [self._fault(row, options) for row, options in zip(logits, request.options, strict=True)]
        good = [index for index, fault in enumerate(faults) if fault is None]
        with tracing.span("rank"):
            rankings = iter(_rank(logits[good], calibration, [request.options[index] for index in good]))
        outcomes = (
            pb.RankOutcome(error=to_item(fault))
            if fault
            else pb.RankOutcome(ranking=_ranking(next(rankings), calibration))
            for fault in faults
        )
        return pb.RankLabelsResponse(outcomes=outcomes)

    def _logits(self, parcel: Parcel[pb.RankLabelsRequest], classes: int) -> npt.NDArray[np.float32]:
        tensor, options = parcel.message.logits, parcel.message.options
        check(tensor, parcel.pieces, "logits")
        shape = list(tensor.shape)
        if tensor.data_type != tensor_pb2.DATA_TYPE_FP32 or shape[1:] != [classes]:
            got = f"{tensor_pb2.DataType.Name(tensor.data_type)} {shape}"
            message = f"Logits must be fp32 [n, {classes}]; these are {got}."
            raise InvalidArgument(message, reason=Reason.TENSOR_INVALID, field="logits")
        rows = shape[0]
        if not 1 <= rows <= self._max_batch or rows != len(options):
            counts = f"{rows} rows and {len(options)} options"
            message = f"A call carries 1 to {self._max_batch} rows with one `options` each; this one has {counts}."
            raise InvalidArgument(message, field="options")
        return floats(parcel.pieces, rows)

    def _fault(self, row: npt.NDArray[np.float32], options: pb.RankOptions) -> TriptychError | None:
        if not 1 <= options.top_k <= self._max_top_k:
            return InvalidArgument(f"top_k must be 1 to {self._max_top_k}; it is {options.top_k}.", field="top_k")
        if not 0 <= options.min_score <= 1:
            return InvalidArgument(f"min_score must be 0 to 1; it is {options.min_score:g}.", field="min_score")
        if not np.isfinite(row).all():
            return Internal("The model answered with values that are not numbers.", reason=Reason.LOGITS_NOT_FINITE)
        return None


def _rank(
    logits: npt.NDArray[np.float32], calibration: Calibration, options: list[pb.RankOptions]
) -> list[list[Ranked]]:
    if not options:
        return []
    return rank(logits, calibration.temperature, [row.top_k for row in options], [row.min_score for row in options])


def _ranking(ranked: list[Ranked], calibration: Calibration) -> pb.Ranking:
    return pb.Ranking(
        predictions=[
            pb.Prediction(index=item.index, label=calibration.labels[item.index], score=item.score) for item in ranked
        ]
    )
