"""Keeping up with what runs."""

import asyncio
import time

import pytest
from fakes.evidence_service import experiment

from gateway.experiments.feed import Feed
from servicekit.errors import DeadlineExceeded, Unavailable
from triptych.experiments.v1 import evidence_service_pb2 as pb


class Service:
    """Says what it is told to."""

    def __init__(self) -> None:
        self.answer: pb.GetRoutingResponse | Exception = Unavailable("Gone.")
        self.known: list[int] = []
        self.answers_after = 0
        """Questions that fail before."""

    async def ask(self, request: pb.GetRoutingRequest, _timeout_s: float) -> pb.GetRoutingResponse:
        """Answers."""
        self.known.append(request.known_revision)
        if len(self.known) <= self.answers_after:
            raise Unavailable("Gone.")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_nothing_is_known_at_first() -> None:
    """And a service that is away changes nothing."""
    feed = Feed(Service().ask, 1)
    await feed.ask()

    assert (0, set()) == (feed.routes.revision, feed.routes.names)


async def test_the_beginning_waits_for_the_first_answer() -> None:
    """Also where that says that nothing runs."""
    service = Service()
    service.answer, service.answers_after = pb.GetRoutingResponse(), 2
    await Feed(service.ask, 1).begin(60)

    assert 3 == len(service.known)


@pytest.mark.parametrize("hangs", [False, True])
async def test_the_beginning_does_not_wait_for_long(hangs: bool) -> None:
    """A service that is away, or hangs, keeps no gateway from starting."""

    async def ask(_request: pb.GetRoutingRequest, _timeout_s: float) -> pb.GetRoutingResponse:
        if hangs:
            await asyncio.Event().wait()
        raise Unavailable("Gone.")

    feed = Feed(ask, 1)
    began = time.monotonic()
    await feed.begin(0.2)

    assert 0.1 < time.monotonic() - began < 2
    assert 0 == feed.routes.revision


@pytest.mark.parametrize(
    "trouble",
    [
        Unavailable("Gone."),
        DeadlineExceeded("Late."),
        ValueError("of ours"),
        pb.GetRoutingResponse(revision=7),  # says: as you know
    ],
)
async def test_what_is_known_stays(trouble: pb.GetRoutingResponse | Exception) -> None:
    """Whatever comes, until something else is said."""
    service = Service()
    feed = Feed(service.ask, 1)
    service.answer = pb.GetRoutingResponse(revision=7, experiments=[experiment()], pins={"other": "2"})
    await feed.ask()
    service.answer = trouble
    await feed.ask()

    assert (7, {"speed"}, {"other": "2"}) == (feed.routes.revision, feed.routes.names, feed.routes.pins)
    assert [0, 7] == service.known


async def test_another_revision_replaces_all() -> None:
    """Also an earlier one, as after a database was put back."""
    service = Service()
    feed = Feed(service.ask, 1)
    service.answer = pb.GetRoutingResponse(revision=7, experiments=[experiment()])
    await feed.ask()
    service.answer = pb.GetRoutingResponse(revision=3, experiments=[experiment("other")])
    await feed.ask()

    assert (3, {"other"}) == (feed.routes.revision, feed.routes.names)
