"""What the client sends: images from wherever they are, in calls of a size that the gateway takes."""

import asyncio
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
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
DEFAULT_PORT = 8081
HTTPS = "https://"
HTTPS_PORT = 443
_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:", "passthrough:")


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


class FrameSource:
    """Numbers the frames of a video and reads them, in the thread or the task where gRPC sends.

    What goes wrong there would reach the caller as a cancelled call, so it is kept and the sending ends; whoever
    reads the answers raises it after the last one.
    """

    def __init__(self, frames: AsyncIterable[ImageSource] | Iterable[ImageSource], query: Query) -> None:
        self.error: Exception | None = None
        self._frames = frames
        self._query = query

    def sync(self) -> Iterator[ClassifyStreamRequest]:
        """Yields the messages to send, for the blocking client."""
        try:
            for number, frame in enumerate(_checked(self._frames)):
                yield self._query.frame(number, read_image(frame))
        except Exception as error:  # noqa: BLE001 (it is the caller's, who gets it back)
            self.error = error

    async def aio(self) -> AsyncIterator[ClassifyStreamRequest]:
        """Yields the messages to send, for asyncio."""
        number = 0
        try:
            async for frame in _asynchronous(self._frames):
                yield self._query.frame(number, await asyncio.to_thread(read_image, frame))
                number += 1
        except Exception as error:  # noqa: BLE001 (it is the caller's, who gets it back)
            self.error = error


def _checked(frames: object) -> Iterable[ImageSource]:
    if isinstance(frames, str | bytes | bytearray | memoryview) or not isinstance(frames, Iterable):
        raise TypeError(f"Frames are an iterable of images, not {type(frames).__name__}.")
    return frames


async def _asynchronous(frames: AsyncIterable[ImageSource] | Iterable[ImageSource]) -> AsyncIterator[ImageSource]:
    if isinstance(frames, AsyncIterable):
        async for frame in frames:
            yield frame
        return
    plain, end = iter(_checked(frames)), object()
    # The next frame may wait for a camera: never in the event loop's thread.
    while (found := await asyncio.to_thread(next, plain, end)) is not end:
        yield found  # type: ignore[misc] # the sentinel is excluded above


def gateway_address(target: str) -> str:
    """Returns `host:port` with the default port where none is named; full gRPC names, such as `unix:...`, as they are.

    `https://host:port` stays that: a gRPC server that is reached over TLS.

    Raises:
        ValueError: this is no address of a gRPC server.
    """
    if target.startswith("http://"):
        raise ValueError(
            f"{target!r} is a web address; name the gateway's gRPC port instead, such as 'localhost:{DEFAULT_PORT}'."
        )
    if target.startswith(HTTPS):
        return HTTPS + _with_port(target, target.removeprefix(HTTPS).removesuffix("/"), HTTPS_PORT)
    return target if target.startswith(_SCHEMES) else _with_port(target, target, DEFAULT_PORT)


def _with_port(target: str, place: str, default: int) -> str:
    host, colon, port = _host_and_port(place)
    if not host or any(mark in host for mark in "/ ") or (colon and not _is_port(port)):
        raise ValueError(f"{target!r} is not like 'localhost:{DEFAULT_PORT}': a host and a port from 1 to 65535.")
    return f"{host}:{port or default}"


def _host_and_port(target: str) -> tuple[str, str, str]:
    if target.startswith("["):
        host, _, rest = target.partition("]")
        return f"{host}]", rest[:1], rest[1:]
    if target.count(":") > 1:  # an IPv6 address without a port
        return f"[{target}]", "", ""
    return target.partition(":")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535


def target_name(address: str) -> str:
    """Returns the gRPC name of what `gateway_address` returned."""
    return address if address.startswith(_SCHEMES) else f"dns:///{address.removeprefix(HTTPS)}"


def new_request_id() -> str:
    """Returns an id for a call that was given none."""
    return uuid.uuid4().hex
