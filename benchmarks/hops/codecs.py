"""How the rows of a batch become a message and are found in it again: what each side does in user code.

Each codec knows one hop. `request` and `rows` are the client's part, `answer` the server's, which answers a constant.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from benchmarks.hops.payload import LOGITS_BYTES, MODEL, PIXELS_BYTES, TIME_LEFT_MS, VERSION
from benchmarks.hops.wire import Buffer, fields, prefix
from triptych.inference.v1 import inference_service_pb2 as inference_pb
from triptych.preprocess.v1 import preprocess_service_pb2 as preprocess_pb
from triptych.tensor.v1 import tensor_pb2

LOGITS = bytes(LOGITS_BYTES)
PIXELS = bytes(PIXELS_BYTES)
DATA_FIELD = 3  # of Tensor

Join = Callable[[list[Buffer]], Any]


class Codec(Protocol):
    """Is one way to write the messages of one hop."""

    request_type: Any
    """Message class that gRPC parses and serialises; None when the codec deals in bytes."""
    response_type: Any

    def request(self, rows: Sequence[bytes]) -> Any:
        """Builds a request for the rows."""

    def answer(self, request: Any) -> Any:
        """Finds the rows of a request and builds an answer of as many."""

    def rows(self, response: Any) -> Sequence[Buffer]:
        """Finds the rows of an answer."""


def pixels(data: bytes, rows: int) -> tensor_pb2.Tensor:
    """Returns a tensor of so many images; without `data`, its type and shape only."""
    return tensor_pb2.Tensor(data_type=tensor_pb2.DATA_TYPE_UINT8, shape=(rows, 224, 224, 3), data=data)


def logits(data: bytes, rows: int) -> tensor_pb2.Tensor:
    """Returns a tensor of so many logits; without `data`, its type and shape only."""
    return tensor_pb2.Tensor(data_type=tensor_pb2.DATA_TYPE_FP32, shape=(rows, LOGITS_BYTES // 4), data=data)


def predict_response(rows: int) -> inference_pb.PredictLogitsResponse:
    """Returns all of an answer but its tensor."""
    outcomes = [inference_pb.PredictOutcome(ok=inference_pb.PredictedRow())] * rows
    return inference_pb.PredictLogitsResponse(outcomes=outcomes, model=MODEL, version=VERSION, compute_ms=1.0)


def preprocess_response(rows: int) -> preprocess_pb.PreprocessImagesResponse:
    """Returns all of an answer but its tensor."""
    image = preprocess_pb.PreprocessedImage(width_px=512, height_px=512, format="jpeg", compute_ms=1.0)
    return preprocess_pb.PreprocessImagesResponse(outcomes=[preprocess_pb.PreprocessOutcome(image=image)] * rows)


def _split(data: Buffer, size: int) -> list[Buffer]:
    view = memoryview(data)
    return [view[at : at + size] for at in range(0, len(view), size)]


class ProtobufInference:
    """Is the generated classes on both sides."""

    request_type = inference_pb.PredictLogitsRequest
    response_type = inference_pb.PredictLogitsResponse

    def request(self, rows: Sequence[bytes]) -> Any:
        """Builds a message with one stacked tensor."""
        return inference_pb.PredictLogitsRequest(
            model=MODEL,
            version=VERSION,
            tensor=pixels(b"".join(rows), len(rows)),
            time_left_ms=[TIME_LEFT_MS] * len(rows),
        )

    def answer(self, request: Any) -> Any:
        """Takes the tensor's data and answers with logits."""
        rows = len(request.tensor.data) // PIXELS_BYTES
        response = predict_response(rows)
        response.logits.CopyFrom(logits(LOGITS * rows, rows))
        return response

    def rows(self, response: Any) -> Sequence[Buffer]:
        """Cuts the logits."""
        return _split(response.logits.data, LOGITS_BYTES)


class ProtobufPreprocess:
    """Is the generated classes on both sides."""

    request_type = preprocess_pb.PreprocessImagesRequest
    response_type = preprocess_pb.PreprocessImagesResponse

    def request(self, rows: Sequence[bytes]) -> Any:
        """Builds a message with one field per image."""
        images = [preprocess_pb.EncodedImage(content=row, time_left_ms=TIME_LEFT_MS) for row in rows]
        return preprocess_pb.PreprocessImagesRequest(model=MODEL, images=images)

    def answer(self, request: Any) -> Any:
        """Takes every image's bytes and answers with one stacked tensor."""
        rows = len([image.content for image in request.images])
        response = preprocess_response(rows)
        response.tensor.CopyFrom(pixels(b"".join([PIXELS] * rows), rows))
        return response

    def rows(self, response: Any) -> Sequence[Buffer]:
        """Cuts the tensor."""
        return _split(response.tensor.data, PIXELS_BYTES)


class RawInference:
    """Writes the same bytes on the wire, but protobuf sees only the head: the tensor is spliced in behind it."""

    request_type = response_type = None

    def __init__(self, join: Join = b"".join) -> None:
        """Takes what makes one message of its parts."""
        self._join = join

    def request(self, rows: Sequence[Buffer]) -> Any:
        """Joins head and rows: the only copy."""
        head = inference_pb.PredictLogitsRequest(model=MODEL, version=VERSION, time_left_ms=[TIME_LEFT_MS] * len(rows))
        return self._join(_spliced(head, 3, pixels(b"", len(rows)), rows))

    def answer(self, request: Any) -> Any:
        """Finds the tensor in place and answers with logits."""
        _, data = _found(request, 3, inference_pb.PredictLogitsRequest)
        rows = self._count(data)
        return self._join(_spliced(predict_response(rows), 1, logits(b"", rows), [LOGITS] * rows))

    def _count(self, data: memoryview) -> int:
        return len(data) // PIXELS_BYTES

    def rows(self, response: Any) -> Sequence[Buffer]:
        """Cuts the logits in place."""
        _, data = _found(response, 1, inference_pb.PredictLogitsResponse)
        return _split(data, LOGITS_BYTES)


class RawPreprocess:
    """Writes the same bytes on the wire, but protobuf sees only the small fields."""

    request_type = response_type = None

    def __init__(self, join: Join = b"".join) -> None:
        """Takes what makes one message of its parts."""
        self._join = join

    def request(self, rows: Sequence[bytes]) -> Any:
        """Joins head and images: the only copy."""
        parts: list[Buffer] = [preprocess_pb.PreprocessImagesRequest(model=MODEL).SerializeToString()]
        tail = preprocess_pb.EncodedImage(time_left_ms=TIME_LEFT_MS).SerializeToString()
        for row in rows:
            inner = prefix(1, len(row))
            parts += prefix(2, len(inner) + len(row) + len(tail)), inner, row, tail
        return self._join(parts)

    def answer(self, request: Any) -> Any:
        """Finds the images in place and answers with one stacked tensor."""
        images = _images(memoryview(request))
        return self._join(
            _spliced(preprocess_response(len(images)), 1, pixels(b"", len(images)), self._pixels(len(images)))
        )

    def _pixels(self, rows: int) -> Sequence[Buffer]:
        return [PIXELS] * rows

    def rows(self, response: Any) -> Sequence[Buffer]:
        """Cuts the tensor in place."""
        return _split(self._data(response), PIXELS_BYTES)

    def _data(self, response: Any) -> memoryview:
        return _found(response, 1, preprocess_pb.PreprocessImagesResponse)[1]


def _images(view: memoryview) -> list[memoryview]:
    return [
        view[content:stop]
        for number, _, at, end in fields(view, 0, len(view))
        if number == 2
        for inner, _, content, stop in fields(view, at, end)
        if inner == 1
    ]


def _spliced(head: Any, field: int, tensor: tensor_pb2.Tensor, rows: Sequence[Buffer]) -> list[Buffer]:
    """Returns the parts of `head` with a tensor as its last field; `tensor` has type and shape only."""
    inner = tensor.SerializeToString()
    size = sum(map(len, rows))
    lead = prefix(DATA_FIELD, size)
    return [
        head.SerializeToString() + prefix(field, len(inner) + len(lead) + size) + inner + lead,
        *rows,
    ]


def _found(message: Any, field: int, head_type: Any) -> tuple[Any, memoryview]:
    """Returns the head, parsed, and the data of the tensor that is the message's last field."""
    view = memoryview(message)
    for number, start, content, end in fields(view, 0, len(view)):
        if number == field:
            for inner, _, at, stop in fields(view, content, end):
                if inner == DATA_FIELD:
                    return head_type.FromString(view[:start].tobytes()), view[at:stop]
    raise ValueError(f"The message has no tensor in field {field}.")
