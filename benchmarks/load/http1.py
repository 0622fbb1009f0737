"""HTTP/1.1 with keep-alive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.load.exchange import Answer, WireError


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Is one request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def encode(self) -> bytes:
        """Returns what goes over the wire."""
        headers = {"Host": "127.0.0.1", "Content-Length": str(len(self.body)), **self.headers}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


class Http1:
    """Is one connection."""

    def __init__(self, encoded: Sequence[bytes]) -> None:
        self.leaving = False
        self._encoded = encoded
        self._buffer = b""

    def hello(self) -> bytes:
        """Returns nothing: the client speaks first, and with a request."""
        return b""

    def request(self, index: int) -> bytes:
        """Returns the whole request."""
        return self._encoded[index]

    def receive(self, data: bytes) -> tuple[bytes, Answer | None]:
        """Collects the answer.

        Raises:
            WireError: it has no Content-Length, or is no HTTP.
        """
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return b"", None
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at < 0 or not lower.startswith(b"http/1.1 "):
            raise WireError(f"an answer without Content-Length: {head[:200]!r}")
        self.leaving = b"\r\nconnection: close" in lower
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0])
        if len(body) < length:
            return b"", None
        self._buffer = b""
        return b"", Answer(head[9:12] == b"200", body)
