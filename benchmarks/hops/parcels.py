"""Today's shape: the services' own parcels, whose tensors lie beside the message (`servicekit.parcel`)."""

from collections.abc import Sequence
from typing import Any

from benchmarks.hops.codecs import LOGITS, PIXELS, logits, pixels, predict_response, preprocess_response
from benchmarks.hops.payload import MODEL, TIME_LEFT_MS, VERSION
from benchmarks.hops.wire import Buffer
from servicekit.parcel import Parcel
from servicekit.tensors import check, cut
from triptych.inference.v1 import inference_service_pb2 as inference_pb
from triptych.preprocess.v1 import preprocess_service_pb2 as preprocess_pb


class ParcelInference:
    """Sends pixels as a parcel's pieces."""

    request_type = response_type = None

    def request(self, rows: Sequence[bytes]) -> Any:
        """Puts the rows beside a message."""
        message = inference_pb.PredictLogitsRequest(
            model=MODEL, version=VERSION, tensor=pixels(b"", len(rows)), time_left_ms=[TIME_LEFT_MS] * len(rows)
        )
        return Parcel(message, rows)

    def answer(self, request: Any) -> Any:
        """Checks the tensor and answers with logits."""
        check(request.message.tensor, request.pieces, "tensor")
        rows = request.message.tensor.shape[0]
        response = predict_response(rows)
        response.logits.CopyFrom(logits(b"", rows))
        return Parcel(response, [LOGITS] * rows)

    def rows(self, response: Any) -> Sequence[Buffer]:
        """Cuts the logits."""
        return cut(response.pieces, len(response.message.outcomes))


class ParcelPreprocess:
    """Answers pixels as a parcel's pieces; the request holds no tensor and is protobuf's."""

    request_type = response_type = None

    def request(self, rows: Sequence[bytes]) -> Any:
        """Builds a message with one field per image."""
        images = [preprocess_pb.EncodedImage(content=row, time_left_ms=TIME_LEFT_MS) for row in rows]
        return preprocess_pb.PreprocessImagesRequest(model=MODEL, images=images)

    def answer(self, request: Any) -> Any:
        """Takes every image's bytes and answers with one stacked tensor."""
        rows = len([image.content for image in request.images])
        response = preprocess_response(rows)
        response.tensor.CopyFrom(pixels(b"", rows))
        return Parcel(response, [PIXELS] * rows)

    def rows(self, response: Any) -> Sequence[Buffer]:
        """Cuts the tensor."""
        return cut(response.pieces, len(response.message.outcomes))
