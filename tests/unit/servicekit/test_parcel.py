"""Parcels: the same bytes on the wire as protobuf's, and a large field that is neither parsed nor copied."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import example, given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from servicekit.parcel import Parcel, ParcelCodec, method_codecs
from triptych.classification.v1 import classification_service_pb2 as classification_pb
from triptych.inference.v1 import inference_service_pb2 as inference_pb
from triptych.postprocess.v1 import postprocess_service_pb2 as postprocess_pb
from triptych.preprocess.v1 import preprocess_service_pb2 as preprocess_pb
from triptych.tensor.v1 import tensor_pb2

PREDICT = "/triptych.inference.v1.InferenceService/PredictLogits"
PREPROCESS = "/triptych.preprocess.v1.PreprocessService/PreprocessImages"
RANK = "/triptych.postprocess.v1.PostprocessService/RankLabels"

CODEC = ParcelCodec(inference_pb.PredictLogitsRequest, (3, 3))

pieces_of_data = st.lists(st.binary(max_size=300), max_size=4)
tensors = st.builds(
    lambda shape, data_type: tensor_pb2.Tensor(shape=shape, data_type=data_type),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=9),
    st.sampled_from(tensor_pb2.DataType.values()),
)
predictions = st.builds(
    lambda model, version, left_ms, tensor: inference_pb.PredictLogitsRequest(
        model=model, version=version, time_left_ms=left_ms, tensor=tensor
    ),
    st.text(max_size=200),
    st.text(max_size=5),
    st.lists(st.floats(allow_nan=False), max_size=5),
    st.none() | tensors,
)


def _joined(parcel: Parcel[Any]) -> bytes:
    return b"".join(parcel.pieces)


@given(predictions, pieces_of_data)
def test_a_parcel_is_an_ordinary_message(message: Any, pieces: list[bytes]) -> None:
    """What protobuf reads in a parcel's bytes is the message with the joined pieces in it."""
    encoded = CODEC.encode(Parcel(message, pieces))
    message.tensor.data = b"".join(pieces)

    assert message == inference_pb.PredictLogitsRequest.FromString(encoded)


@given(predictions, pieces_of_data)
def test_round_trip(message: Any, pieces: list[bytes]) -> None:
    """A parcel comes back with the same message and the same data, in one piece."""
    got = CODEC.decode(CODEC.encode(Parcel(message, pieces)))
    message.tensor.SetInParent()

    assert (message, b"".join(pieces), 1) == (got.message, _joined(got), len(got.pieces))


@given(predictions, st.binary(max_size=300))
def test_an_ordinary_message_is_a_parcel(message: Any, data: bytes) -> None:
    """What protobuf wrote comes apart into the message without the field, and the field."""
    message.tensor.data = data
    got = CODEC.decode(message.SerializeToString())
    message.tensor.ClearField("data")

    assert (message, data) == (got.message, _joined(got))


def test_a_message_without_the_field_has_no_pieces() -> None:
    """What is not there is not made up."""
    got = CODEC.decode(inference_pb.PredictLogitsRequest(model="tiny").SerializeToString())

    assert (inference_pb.PredictLogitsRequest(model="tiny"), []) == (got.message, list(got.pieces))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, kind: int, value: bytes) -> bytes:
    return _varint(number << 3 | kind) + (_varint(len(value)) if kind == 2 else b"") + value


def _wire(number: int, *, bytes_too: bool = True) -> st.SearchStrategy[bytes]:
    """Returns fields of a number, of every kind, whether or not the message has it so."""
    kinds = [
        st.builds(lambda value: _field(number, 0, _varint(value)), st.integers(0, 2**64 - 1)),
        st.builds(lambda value: _field(number, 1, value), st.binary(min_size=8, max_size=8)),
        st.builds(lambda value: _field(number, 5, value), st.binary(min_size=4, max_size=4)),
    ]
    if bytes_too:
        kinds.append(st.builds(lambda value: _field(number, 2, value), st.binary(max_size=200)))
    return st.one_of(kinds)


inside = st.lists(st.integers(1, 5).flatmap(_wire), max_size=6).map(lambda fields: _field(3, 2, b"".join(fields)))
outside = st.integers(1, 6).flatmap(lambda number: _wire(number, bytes_too=number != 3))
messages = st.lists(inside | outside, max_size=6).map(b"".join)
"""Fields in any order, known and unknown, repeated, and of kinds that the message does not have them in."""


def _understood(decode: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return decode(data)
    except DecodeError:
        return None


def _apart(data: bytes) -> tuple[Message, bytes]:
    message = inference_pb.PredictLogitsRequest.FromString(data)
    content = bytes(message.tensor.data)
    if message.HasField("tensor"):
        message.tensor.ClearField("data")
    return message, content


def _parcel_apart(data: bytes) -> tuple[Message, bytes]:
    parcel = CODEC.decode(data)
    return parcel.message, _joined(parcel)


@given(messages)
@example(_field(3, 2, _field(3, 2, b"early")) + _field(1, 2, b"tiny") + _field(3, 2, _field(2, 2, b"\x05")))
@example(_field(3, 2, _field(3, 2, b"first") + _field(3, 2, b"second")))
@example(_field(3, 2, _field(3, 2, b"first")) + _field(3, 2, _field(3, 2, b"second")))
@example(_field(3, 2, _field(3, 2, b"first")) + _field(3, 2, _field(3, 2, b"")))
@example(_field(3, 0, b"\x05") + _field(3, 2, _field(3, 5, b"four")))
def test_whatever_protobuf_reads_a_codec_reads(data: bytes) -> None:
    """Fields in any order, repeated, unknown or of another kind mean what they mean to protobuf, or nothing to both."""
    assert _understood(_apart, data) == _understood(_parcel_apart, data)


@given(st.binary(max_size=60))
@example(b"\x1a")
@example(b"\x1a\x05\x1a\x09ab")
@example(b"\x1a\x02\x1a\xff")
@example(b"\xff" * 11)
@example(b"\x1a" + b"\xff" * 9 + b"\x01")
@example(b"\x1b")
def test_garbage_is_no_message(data: bytes) -> None:
    """Bytes raise DecodeError, and nothing else, or mean what they mean to protobuf."""
    assert _understood(_parcel_apart, data) in (None, _understood(_apart, data))


@given(predictions, st.binary(min_size=1, max_size=300), st.data())
def test_a_message_that_was_cut_off_is_no_message(message: Any, content: bytes, draw: st.DataObject) -> None:
    """An end anywhere in the data field is noticed: a truncated tensor never looks like a short one."""
    encoded = CODEC.encode(Parcel(message, [content]))
    end = draw.draw(st.integers(len(encoded) - len(content), len(encoded) - 1))
    with pytest.raises(DecodeError):
        CODEC.decode(encoded[:end])


@given(predictions, st.binary(max_size=100), st.integers(0, 255), st.data())
def test_a_changed_byte_is_no_surprise(message: Any, content: bytes, byte: int, draw: st.DataObject) -> None:
    """Damage raises DecodeError, and nothing else, or means what it means to protobuf."""
    encoded = bytearray(CODEC.encode(Parcel(message, [content])))
    encoded[draw.draw(st.integers(0, len(encoded) - 1))] = byte
    data = bytes(encoded)

    assert _understood(_parcel_apart, data) in (None, _understood(_apart, data))


def _memory(data: Any) -> int:
    return int(np.frombuffer(data, np.uint8).__array_interface__["data"][0])


def test_a_piece_is_a_view() -> None:
    """The data stays in the bytes that came, and nobody can change them through it."""
    encoded = CODEC.encode(Parcel(inference_pb.PredictLogitsRequest(model="tiny"), [bytes(1000)]))
    (piece,) = CODEC.decode(encoded).pieces

    assert isinstance(piece, memoryview)
    assert piece.readonly
    assert (True, _memory(encoded) + len(encoded) - 1000) == (piece.obj is encoded, _memory(piece))


def test_pieces_may_be_views() -> None:
    """What came from one service goes to the next as it is."""
    data = memoryview(b"abcdef")

    assert b"abef" == _joined(
        CODEC.decode(CODEC.encode(Parcel(inference_pb.PredictLogitsRequest(), [data[:2], data[4:]])))
    )


def test_encoding_leaves_the_parcel_alone() -> None:
    """A parcel can be sent twice."""
    message = inference_pb.PredictLogitsRequest(model="tiny")
    parcel = Parcel(message, [b"ab", b"c"])

    assert CODEC.encode(parcel) == CODEC.encode(parcel)
    assert (inference_pb.PredictLogitsRequest(model="tiny"), [b"ab", b"c"]) == (parcel.message, parcel.pieces)


SHAPED = tensor_pb2.Tensor(data_type=tensor_pb2.DATA_TYPE_UINT8, shape=[2, 3])
WHOLE = tensor_pb2.Tensor(data_type=tensor_pb2.DATA_TYPE_UINT8, shape=[2, 3], data=b"abcdef")

METHODS: list[tuple[str, int, Callable[[Any], Message]]] = [
    (PREDICT, 0, lambda tensor: inference_pb.PredictLogitsRequest(model="m", tensor=tensor, time_left_ms=[1])),
    (PREDICT, 1, lambda tensor: inference_pb.PredictLogitsResponse(model="m", logits=tensor, queue_ms=2)),
    (PREPROCESS, 1, lambda tensor: preprocess_pb.PreprocessImagesResponse(tensor=tensor, outcomes=[{}, {}])),
    (RANK, 0, lambda tensor: postprocess_pb.RankLabelsRequest(model="m", logits=tensor, options=[{"top_k": 5}])),
]


@pytest.mark.parametrize(("method", "side", "build"), METHODS, ids=["predict", "predicted", "preprocessed", "rank"])
def test_every_tensor_travels_as_a_parcel(method: str, side: int, build: Callable[[Any], Message]) -> None:
    """The messages with a tensor are written as protobuf writes them, and taken apart."""
    codec = method_codecs(method)[side]
    whole = build(WHOLE)
    got = codec.decode(whole.SerializeToString())

    assert whole == type(whole).FromString(codec.encode(Parcel(build(SHAPED), [b"abc", b"def"])))
    assert (build(SHAPED), b"abcdef") == (got.message, _joined(got))


PLAIN: list[tuple[str, int, Message]] = [
    (PREPROCESS, 0, preprocess_pb.PreprocessImagesRequest(model="m", images=[{"content": b"abc"}])),
    (RANK, 1, postprocess_pb.RankLabelsResponse(outcomes=[{}])),
    (
        "/triptych.classification.v1.ClassificationService/Classify",
        0,
        classification_pb.ClassifyRequest(images=[{"content": b"abc"}]),
    ),
]


@pytest.mark.parametrize(("method", "side", "message"), PLAIN, ids=["preprocess", "ranked", "classify"])
def test_messages_without_a_tensor_stay_messages(method: str, side: int, message: Message) -> None:
    """There is nothing to take out of them."""
    codec = method_codecs(method)[side]

    assert message == codec.decode(codec.encode(message))
    assert message.SerializeToString() == codec.encode(message)


def test_a_repeated_field_holds_one_parcel() -> None:
    """Triton's raw contents lie in a list at the top: one entry goes as a parcel."""
    codec = ParcelCodec(service_pb2.ModelInferRequest, (7,))
    plain = service_pb2.ModelInferRequest(model_name="m", id="1", inputs=[{"name": "image", "shape": [2, 3]}])
    encoded = codec.encode(Parcel(plain, [b"abc", b"def"]))
    whole = service_pb2.ModelInferRequest()
    whole.CopyFrom(plain)
    whole.raw_input_contents.append(b"abcdef")

    assert whole == service_pb2.ModelInferRequest.FromString(encoded)


def test_entries_of_a_repeated_field_stay_apart() -> None:
    """An answer of Triton with two outputs is seen as such, each a piece, also an empty one."""
    codec = ParcelCodec(service_pb2.ModelInferResponse, (6,))
    answer = service_pb2.ModelInferResponse(model_name="m", raw_output_contents=[b"one", b"", b"three"])
    got = codec.decode(answer.SerializeToString())

    assert [b"one", b"", b"three"] == [bytes(each) for each in got.pieces]
    assert service_pb2.ModelInferResponse(model_name="m") == got.message


def test_tritons_fields_are_where_its_paths_say() -> None:
    """The paths of the inference service lead to the raw contents."""
    assert (7, 6) == (
        service_pb2.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER,
        service_pb2.ModelInferResponse.RAW_OUTPUT_CONTENTS_FIELD_NUMBER,
    )
