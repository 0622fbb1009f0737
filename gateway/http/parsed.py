"""What every shape of body becomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.http.options import within_int32
from servicekit.errors import TriptychError
from triptych.classification.v1 import classification_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class Parsed:
    """Is a request in the contract's own words."""

    contents: Sequence[bytes]
    """The images."""
    request: pb.ClassifyRequest
    """All but the images, which putting into a message and taking out again would copy."""
    single: bool
    """Whether the answer is one object instead of a list."""
    fields: dict[str, str]
    """What the caller calls the contract's fields, where it differs."""

    def rename(self, error: TriptychError) -> TriptychError:
        """Points an error at the field by the name that this caller used."""
        return error.at(self.fields[error.field]) if error.field in self.fields else error


def assemble(contents: Sequence[bytes], names: Sequence[str], options: Mapping[str, Any], *, single: bool) -> Parsed:
    """Builds the request of images, each under its caller's name, and of options that are known and of their types."""
    top_k = options.get("top_k")
    message = pb.ClassifyRequest(
        model=options.get("model") or "",
        version=options.get("version") or "",
        top_k=None if top_k is None else within_int32(top_k),
        min_score=options.get("min_score"),
    )
    fields = {f"images[{index}].content": name for index, name in enumerate(names)}
    return Parsed(contents, message, single, fields)
