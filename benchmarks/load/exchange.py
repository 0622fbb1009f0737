"""What the engine needs of a protocol: bytes out, bytes in, and when an answer is complete."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class WireError(Exception):
    """Says what the server did that its protocol does not allow, or that ends the connection."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Is a complete answer."""

    ok: bool
    body: bytes
    """The message or body; of a failure whatever tells why."""


class Exchange(Protocol):
    """Is one connection, with at most one request on it at a time."""

    leaving: bool
    """Whether the server wants the connection closed once the request on it is answered."""

    def hello(self) -> bytes:
        """Returns what is sent first on a new connection."""
        ...

    def request(self, index: int) -> bytes:
        """Begins the request for picture `index`, and returns what can be sent of it at once."""
        ...

    def receive(self, data: bytes) -> tuple[bytes, Answer | None]:
        """Takes in what the server sent; returns what must be sent now, and the answer once it is complete.

        Raises:
            WireError: the server broke the protocol, or closed the connection orderly.
        """
        ...


@dataclass(frozen=True, slots=True)
class Workload:
    """Says what to send where, and what the right answers are."""

    address: tuple[str, int]
    connect: Callable[[], Exchange]
    top1: Callable[[bytes], int]
    """Reads the best class's index from an answer."""
    expected: tuple[int, ...]
    """That index for each picture."""
