"""Looking names up, with a resolver that loses queries."""

import asyncio
import socket
import threading
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
        self.goes_on = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)
        monkeypatch.setattr(names, "PATIENCE_S", 0.01)

    def _getaddrinfo(self, _host: str, _port: int, **_: Any) -> list[Any]:
        self.asked += 1
        answer = next(self._answers)
        if answer is None:
            self.goes_on.wait(10)
            return []
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
    resolver.goes_on.set()

    assert (expected, asked) == (found, resolver.asked)


async def test_names_that_hang_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many look-ups hang, the next one begins at once."""
    resolver = Resolver(monkeypatch, [*[None] * 40, FOUND])
    monkeypatch.setattr(names, "PATIENCE_S", 10)
    async with asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(names.resolve("preprocess", 81))
        await asyncio.sleep(0)
        found = await names.resolve("postprocess", 81)
        resolver.goes_on.set()

    assert frozenset({("10.0.0.1", 81)}) == found
