"""What the client sends: images from wherever they are, in calls of a size that the gateway takes."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase, RawIOBase
from pathlib import Path
from typing import BinaryIO

from triptych.classification.v1.classification_pb2 import Image
from triptych.classification.v1.classification_service_pb2 import ClassifyRequest, ClassifyStreamRequest

ImageSource = bytes | bytearray | memoryview | str | Path | BinaryIO | BufferedIOBase | RawIOBase
"""The encoded bytes of an image, the path of a file, or a file opened for reading bytes."""

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
IMAGES_PER_CALL = 32
BYTES_PER_CALL = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Query:
    """Says what to ask about images."""

    model: str = ""
    version: str = ""
    top_k: int | None = None
    min_score: float | None = None

    def request(self, images: Sequence[bytes]) -> ClassifyRequest:
        """Builds the message for some images."""
        return ClassifyRequest(
            images=[Image(content=image) for image in images],
            model=self.model,
            version=self.version,
            top_k=self.top_k,
            min_score=self.min_score,
        )

    def frame(self, number: int, image: bytes) -> ClassifyStreamRequest:
        """Builds the message for one frame of a video."""
        return ClassifyStreamRequest(
            frame=number,
            image=Image(content=image),
            model=self.model,
            version=self.version,
            top_k=self.top_k,
            min_score=self.min_score,
        )


def read_image(source: ImageSource) -> bytes:
    """Returns the encoded bytes of an image.

    Raises:
        OSError: the file cannot be read.
        TypeError: `source` is none of the things an image can come from.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | Path):
        return Path(source).read_bytes()
    content = source.read() if hasattr(source, "read") else None
    if not isinstance(content, bytes):
        raise TypeError(f"An image is bytes, a path or a file opened with 'rb', not {type(source).__name__}.")
    return content


def split(images: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Yields the images in runs that fit into one call; an image that is too large for any call gets one of its own."""
    start, size = 0, 0
    for index, image in enumerate(images):
        full = index - start == IMAGES_PER_CALL or size + len(image) > BYTES_PER_CALL
        if index > start and full:
            yield images[start:index]
            start, size = index, 0
        size += len(image)
    if images:
        yield images[start:]


def target_name(target: str) -> str:
    """Returns the gRPC name of `host:port`; full names, such as `dns:///...` or `unix:...`, stay as they are."""
    return target if "://" in target or target.startswith(("unix:", "ipv4:", "ipv6:", "dns:")) else f"dns:///{target}"


def new_request_id() -> str:
    """Returns an id for a call that was given none."""
    return uuid.uuid4().hex
