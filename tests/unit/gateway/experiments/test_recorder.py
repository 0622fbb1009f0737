"""A queue that loses nothing without saying so."""

import asyncio
from collections import Counter

import pytest
from fakes.servers import eventually
from prometheus_client import REGISTRY

from gateway.experiments import recorder as module
from gateway.experiments.recorder import ENTRY_BYTES, GATHER_PARTS, Recorder
from servicekit.errors import Internal, InvalidArgument, Reason, ResourceExhausted, TriptychError, Unavailable
from triptych.experiments.v1 import evidence_service_pb2 as pb


class Service:
    """Takes messages, or raises what it is told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.bad = "bad"
        self.messages: list[list[str]] = []
        self.tries = 0
        self.at_once = self.most_at_once = 0

    async def send(self, evidence: pb.RecordEvidenceRequest, _timeout_s: float) -> None:
        """Takes a message."""
        self.tries += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.error is not None:
            raise self.error
        if any(each.prediction_id == self.bad for each in evidence.predictions):
            raise InvalidArgument("Bad.")
        self.messages.append([each.prediction_id for each in evidence.predictions])

    @property
    def ids(self) -> list[str]:
        """Returns all ids, in the order in which they came."""
        return [each for message in self.messages for each in message]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gathers for a moment, and tries again soon."""
    monkeypatch.setattr(module, "GATHER_S", 0.02)
    monkeypatch.setattr(module, "PAUSE_S", 0.02)


def _prediction(name: str, size: int = 0) -> pb.RecordEvidenceRequest:
    record = pb.PredictionRecord(prediction_id=name, image=b"x" * size)
    return pb.RecordEvidenceRequest(predictions=[record])


def _counts() -> Counter[str]:
    outcomes = ("sent", "full", "refused", "ended")
    return Counter(
        {
            outcome: int(
                REGISTRY.get_sample_value("triptych_evidence_total", {"kind": "predictions", "outcome": outcome}) or 0
            )
            for outcome in outcomes
        }
    )


async def test_what_is_gathered_goes_together_in_order() -> None:
    """One message for what a moment brings, and the room is free again."""
    service = Service()
    recorder = Recorder(service.send, 2**20, 1)
    async with recorder.running():
        for number in range(5):
            recorder.record(_prediction(str(number)))
        await eventually(lambda: bool(service.messages))

    assert [["0", "1", "2", "3", "4"]] == service.messages
    assert 0 == recorder.size_bytes


async def test_many_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five hundred leave at once, in messages of so many, one at a time."""
    monkeypatch.setattr(module, "GATHER_S", 60)
    service = Service()
    recorder = Recorder(service.send, 2**20, 1)
    async with recorder.running():
        await asyncio.sleep(0)
        for number in range(2 * GATHER_PARTS + 1):
            recorder.record(_prediction(str(number)))
        await eventually(lambda: len(service.ids) >= 2 * GATHER_PARTS)

    assert [GATHER_PARTS, GATHER_PARTS, 1] == [len(message) for message in service.messages]
    assert 1 == service.most_at_once


async def test_large_parts_are_spread_over_messages() -> None:
    """A message has a bound, unless a single part exceeds it."""
    service = Service()
    recorder = Recorder(service.send, 2**26, 1)
    async with recorder.running():
        for number, size in enumerate((3 * 2**20, 2**20, 9 * 2**20, 5)):
            recorder.record(_prediction(str(number), size))

    assert [["0"], ["1"], ["2"], ["3"]] == service.messages


async def test_the_queue_has_a_bound() -> None:
    """What does not fit is dropped and counted; what is in it is not."""
    before, service = _counts(), Service()
    service.error = Unavailable("Gone.")
    size = len(_prediction("0").SerializeToString()) + ENTRY_BYTES
    recorder = Recorder(service.send, 3 * size, 0)
    for number in range(5):
        recorder.record(_prediction(str(number)))

    assert (3 * size, 2) == (recorder.size_bytes, (_counts() - before)["full"])


@pytest.mark.parametrize("error", [Unavailable("Gone."), ResourceExhausted("Full.", reason=Reason.STORE_FULL)])
async def test_what_is_not_taken_is_sent_again(error: TriptychError) -> None:
    """Until it is, in the same order."""
    service = Service()
    service.error = error
    recorder = Recorder(service.send, 2**20, 1)
    async with recorder.running():
        recorder.record(_prediction("first"))
        await eventually(lambda: service.tries > 2)
        recorder.record(_prediction("second"))
        service.error = None
        await eventually(lambda: 2 == len(service.ids))

    assert ["first", "second"] == service.ids


@pytest.mark.parametrize(
    "error",
    [Internal("Broken."), ResourceExhausted("Too large.", reason=Reason.REQUEST_TOO_LARGE), ValueError("of ours")],
)
async def test_what_will_never_be_taken_is_dropped(error: Exception) -> None:
    """And counted, so that what follows is sent."""
    before, service = _counts(), Service()
    service.error = error
    recorder = Recorder(service.send, 2**20, 1)
    async with recorder.running():
        recorder.record(_prediction("first"))
        await eventually(lambda: service.tries > 0 and not recorder.size_bytes)
        service.error = None
        recorder.record(_prediction("second"))

    assert (["second"], 1, 1) == (service.ids, (_counts() - before)["refused"], (_counts() - before)["sent"])


async def test_one_bad_part_costs_no_other() -> None:
    """Whoever sent it: it is looked for by halves, and the rest arrives, in order."""
    before, service = _counts(), Service()
    recorder = Recorder(service.send, 2**20, 5)
    async with recorder.running():
        for number in range(300):
            recorder.record(_prediction("bad" if number == 177 else str(number)))

    assert [str(number) for number in range(300) if number != 177] == service.ids
    assert (1, 299) == ((_counts() - before)["refused"], (_counts() - before)["sent"])
    assert service.tries < 40


async def test_what_is_left_in_the_end_is_sent() -> None:
    """All of it, in as many messages as it takes."""
    service = Service()
    recorder = Recorder(service.send, 2**20, 1)
    async with recorder.running():
        for number in range(GATHER_PARTS + 3):
            recorder.record(_prediction(str(number)))

    assert GATHER_PARTS + 3 == len(service.ids)


async def test_what_cannot_be_sent_in_the_end_is_counted() -> None:
    """The end comes in time all the same."""
    before, service = _counts(), Service()
    service.error = Unavailable("Gone.")
    recorder = Recorder(service.send, 2**20, 0.2)
    async with asyncio.timeout(5), recorder.running():
        recorder.record(_prediction("first"))

    assert 1 == (_counts() - before)["ended"]
