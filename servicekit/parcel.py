"""Messages whose one large field is never parsed nor copied: it travels beside the message, in pieces.

On the wire a parcel is an ordinary protobuf message. The encoder writes the large field behind the others; where it
lies in a sub-message, that sub-message is written a second time with nothing else in it, since parsers merge the two.
The decoder cuts the field out of the bytes that came, as a view, and parses only the rest.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from triptych.tensor.v1 import tensor_pb2

M = TypeVar("M", bound=Message)

Piece = bytes | memoryview

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@dataclass(slots=True)
class Parcel(Generic[M]):
    """Is a message without its large field, and that field in pieces: joined, they are its value."""

    message: M
    pieces: Sequence[Piece]


class ParcelCodec(Generic[M]):
    """Turns parcels of one type into bytes and back."""

    def __init__(self, message_type: type[M], path: tuple[int, ...]) -> None:
        """Says where the large field is.

        Args:
            message_type: generated class.
            path: field numbers from the message down to the field: `(7,)`, or `(3, 3)` inside a sub-message. No
                field on the way is repeated, or it has one element at most.
        """
        self._type = message_type
        self._keys = [number << 3 | _LENGTH for number in path]
        self._repeated = _at(message_type.DESCRIPTOR, path).is_repeated

    def encode(self, parcel: Parcel[M]) -> bytes:
        """Returns the message's bytes; each piece is copied once."""
        size = sum(map(len, parcel.pieces))
        head = b""
        for key in reversed(self._keys):
            head = _varint(key) + _varint(size + len(head)) + head
        return b"".join((parcel.message.SerializeToString(), head, *parcel.pieces))

    def decode(self, data: bytes) -> Parcel[M]:
        """Takes a message's bytes apart; the parcel's pieces are views into `data`.

        Raises:
            DecodeError: `data` is no such message.
        """
        try:
            pieces: list[memoryview] = []
            rest = _cut(memoryview(data), self._keys, pieces)
        except IndexError:
            raise DecodeError("the message ends inside a field") from None
        # Of a field that is written twice the last one counts, as everywhere in protobuf.
        return Parcel(self._type.FromString(rest), pieces if self._repeated else pieces[-1:])


def _at(descriptor: Any, path: Sequence[int]) -> Any:
    """Returns the descriptor of the field at `path`."""
    *way, last = path
    for number in way:
        descriptor = descriptor.fields_by_number[number].message_type
    return descriptor.fields_by_number[last]


def _cut(data: memoryview, keys: Sequence[int], pieces: list[memoryview]) -> bytes:
    """Moves the values of the field that `keys` lead to into `pieces`, and returns the message without it."""
    wanted, *deeper = keys
    rest: list[bytes | memoryview] = []
    for key, begin, start, end in _fields(data):
        if key != wanted:
            rest.append(data[begin:end])
        elif not deeper:
            pieces.append(data[start:end])
        else:
            inner = _cut(data[start:end], deeper, pieces)
            rest += (_varint(wanted), _varint(len(inner)), inner)
    return b"".join(rest)


@dataclass(frozen=True, slots=True)
class Codec:
    """Is how the messages of one type go over the wire: as parcels where they hold a tensor, else as they are."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


@functools.cache
def method_codecs(full_method: str) -> tuple[Codec, Codec]:
    """Returns the codecs of a method's requests and responses.

    Args:
        full_method: `/package.Service/Method`, whose generated module has been imported.
    """
    method = descriptor_pool.Default().FindMethodByName(full_method[1:].replace("/", "."))
    return _codec(method.input_type), _codec(method.output_type)


def _codec(descriptor: Any) -> Codec:
    message_type: Any = message_factory.GetMessageClass(descriptor)
    tensors = [field.number for field in descriptor.fields if field.message_type is tensor_pb2.Tensor.DESCRIPTOR]
    if not tensors:
        return Codec(message_type.SerializeToString, message_type.FromString)
    parcels = ParcelCodec(message_type, (tensors[0], tensor_pb2.Tensor.DATA_FIELD_NUMBER))
    return Codec(parcels.encode, parcels.decode)


def _fields(data: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Yields each field as (its key: number and kind; begin of the key, begin of the value, end).

    Raises:
        DecodeError: a field is longer than the message, or of a kind that there is not.
        IndexError: the message ends inside a key.
    """
    at = 0
    while at < len(data):
        begin = at
        key, at = _read_varint(data, at)
        start = at
        kind = key & 7
        if kind == _LENGTH:
            size, start = _read_varint(data, at)
            at = start + size
        elif kind == _VARINT:
            _, at = _read_varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            at += 4 if kind == _FIXED32 else 8
        else:
            raise DecodeError(f"a field of the unknown kind {kind}")
        if at > len(data):
            raise DecodeError("a field is longer than its message")
        yield key, begin, start, at


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise DecodeError("a number has more than ten bytes")


def _varint(value: int) -> bytes:
    count = max(1, math.ceil(value.bit_length() / 7))
    return bytes((value >> 7 * i) & 0x7F | (0x80 if i < count - 1 else 0) for i in range(count))
