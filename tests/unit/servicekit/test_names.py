"""Looking names up, with a resolver that loses queries."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from servicekit import names

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 81))]


class Resolver:
    """Answers each query in turn as it was told to; None is a query that is lost."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: Sequence[list[Any] | OSError | None]) -> None:
        self._answers = iter(answers)
        self.asked = 0
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self._getaddrinfo)
        monkeypatch.setattr(names, "PATIENCE_S", 0.01)

    async def _getaddrinfo(self, _host: str, _port: int, **_: Any) -> list[Any]:
        self.asked += 1
        answer = next(self._answers)
        if answer is None:
            await asyncio.Event().wait()
            raise AssertionError
        if isinstance(answer, OSError):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("answers", "asked", "expected"),
    [
        ([FOUND], 1, frozenset({("10.0.0.1", 81)})),
        ([None, FOUND], 2, frozenset({("10.0.0.1", 81)})),
        ([socket.gaierror(socket.EAI_NONAME, "no such name")], 1, None),
        ([None, socket.gaierror(socket.EAI_AGAIN, "try again")], 2, None),
    ],
)
async def test_a_lost_query_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
    answers: Sequence[list[Any] | OSError | None],
    asked: int,
    expected: frozenset[names.Address] | None,
) -> None:
    """One that is answered, well or badly, is not."""
    resolver = Resolver(monkeypatch, answers)
    found = await names.resolve("preprocess", 81)

    assert (expected, asked) == (found, resolver.asked)
