"""JSON into messages of the contract: protobuf's JSON with the contract's own names, read strictly.

protobuf's own reader takes several spellings of a name and of a number, and does not say where a fault is.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.http.options import refuse_unknown
from gateway.http.scalar_json import from_text, read_scalar, read_time
from gateway.http.strict_json import Pairs, as_object, wrong
from servicekit.errors import InvalidArgument, Reason

_TWICE = object()


def marked(pairs: Pairs) -> dict[str, Any]:
    """Returns an object in which a key that is given twice is marked, so that `fill` can tell its path."""
    values: dict[str, Any] = {}
    for name, value in pairs:
        values[name] = _TWICE if name in values else value
    return values


def fill(message: Message, fields: Mapping[str, Any], known: Collection[str] = (), path: str = "") -> None:
    """Sets the fields of a message; null means absent.

    Args:
        message: is changed.
        fields: of a JSON object, made by `marked`.
        known: names that may be there; by default all fields that the message has.
        path: of the message, with a dot behind it.

    Raises:
        InvalidArgument: a field is unknown, given twice, or of the wrong type; its path says which.
    """
    by_name: Mapping[str, Any] = message.DESCRIPTOR.fields_by_name
    refuse_unknown(fields, known or by_name, kind="field", path=path)
    for name, value in fields.items():
        if value is None:
            continue
        field, where = by_name[name], f"{path}{name}"
        _refuse_twice(value, where)
        _refuse_second(message, field, path)
        _set(message, field, value, where)


def from_texts(message: Message, texts: Mapping[str, str], known: Collection[str]) -> None:
    """Sets the fields of a message to what stands in a query.

    Raises:
        InvalidArgument: one is unknown, or of the wrong type.
    """
    for name in texts if not known else ():
        raise InvalidArgument(
            f"This route has no options; {name[:64]!r} would have no effect.",
            field=name[:64],
            reason=Reason.FIELD_UNKNOWN,
        )
    refuse_unknown(texts, known)
    by_name: Mapping[str, Any] = message.DESCRIPTOR.fields_by_name
    for name, text in texts.items():
        _set(message, by_name[name], from_text(by_name[name], text, name), name)


def _refuse_twice(value: Any, path: str) -> None:
    if value is _TWICE:
        raise InvalidArgument(f"{path!r} is given twice.", field=path)


def _refuse_second(message: Message, field: FieldDescriptor, path: str) -> None:
    """Refuses a field of which the message already has another choice."""
    choice = field.containing_oneof
    other = message.WhichOneof(choice.name) if choice is not None else None
    if other is not None:
        raise InvalidArgument(f"Give {path}{other} or {path}{field.name}, not both.", field=f"{path}{field.name}")


def _set(message: Message, field: FieldDescriptor, value: Any, path: str) -> None:
    target = getattr(message, field.name)
    if field.message_type is None and not field.is_repeated:
        setattr(message, field.name, read_scalar(field, value, path))
    elif field.message_type is None:
        target.extend(read_scalar(field, item, at) for at, item in _items(value, path))
    elif field.message_type.GetOptions().map_entry:
        _set_map(target, field.message_type.fields_by_name["value"], value, path)
    elif field.message_type is Timestamp.DESCRIPTOR:
        target.CopyFrom(read_time(value, path))
    elif field.is_repeated:
        for at, item in _items(value, path):
            fill(target.add(), as_object(item, at), path=f"{at}.")
    else:
        target.SetInParent()  # also where it is empty
        fill(target, as_object(value, path), path=f"{path}.")


def _items(value: Any, path: str) -> Iterable[tuple[str, Any]]:
    if not isinstance(value, list):
        raise wrong(path, "a list", value)
    return ((f"{path}[{index}]", item) for index, item in enumerate(value))


def _set_map(target: Any, field: FieldDescriptor, value: Any, path: str) -> None:
    for key, item in as_object(value, path).items():
        where = f"{path}[{key[:64]}]"
        _refuse_twice(item, where)
        target[key] = read_scalar(field, item, where)
