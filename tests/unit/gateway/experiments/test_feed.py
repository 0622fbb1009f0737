"""Keeping up with what runs."""

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

    async def ask(self, request: pb.GetRoutingRequest, _timeout_s: float) -> pb.GetRoutingResponse:
        """Answers."""
        self.known.append(request.known_revision)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_nothing_is_known_at_first() -> None:
    """And a service that is away changes nothing."""
    feed = Feed(Service().ask, 1)
    await feed.ask()

    assert (0, set()) == (feed.routes.revision, feed.routes.names)


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
