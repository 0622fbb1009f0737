"""A resolver whose answers a test chooses."""

import socket
from typing import Any

import pytest

from servicekit import names


class Names:
    """Answers which addresses one name has, as a resolver does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, host: str, port: int) -> None:
        self._asked = (host, port)
        self.ports: list[int] = []
        """Of the addresses, all on loopback; without any there is no such name."""
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)
        monkeypatch.setattr(names, "INTERVAL_S", 0.01)

    def _getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        assert self._asked == (host, port)
        if not self.ports:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in self.ports]
