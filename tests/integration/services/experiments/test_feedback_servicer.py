"""Feedback over gRPC: taken, given back as data to learn from, and forgotten."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from fakes.evidence import ANNOTATOR, USER, at, deletion, evidence, feedback, prediction, said
from fakes.servers import connected, eventually, running_server
from pydantic import SecretStr

from services.experiments import export, records
from services.experiments.feedback_servicer import FeedbackServicer
from services.experiments.settings import ExperimentsSettings
from services.experiments.store import Store, open_store
from services.experiments.threads import Threads
from triptych.experiments.v1 import feedback_service_pb2 as pb
from triptych.experiments.v1 import feedback_service_pb2_grpc as pb_grpc


@asynccontextmanager
async def _served(folder: Path, url: str) -> AsyncIterator[tuple[Store, Any]]:
    """Yields the store and a stub of its service."""
    settings = ExperimentsSettings(data_dir=folder, database_url=SecretStr(url), prediction_ttl_s=1e9)
    async with open_store(settings) as store, Threads(2).running() as threads:
        servicer = FeedbackServicer(store.intake, store.database, threads)
        register = partial(pb_grpc.add_FeedbackServiceServicer_to_server, servicer)
        async with running_server(register) as server, connected(server.port) as channel:
            yield store, pb_grpc.FeedbackServiceStub(channel)


async def _applied(store: Store) -> None:
    await eventually(lambda: store.writer.progress().waiting_bytes == 0, within_s=20)


async def _exported(stub: Any, **asked: Any) -> list[pb.ExportFeedbackResponse]:
    return [each async for each in stub.ExportFeedback(pb.ExportFeedbackRequest(**asked))]


def _names(rows: Sequence[pb.ExportFeedbackResponse]) -> list[str]:
    return [each.prediction_id for each in rows]


async def test_labels_come_back_with_what_they_are_about(tmp_path: Path, database_url: str) -> None:
    """By name and by index as far as both are known, with who said so, and how likely the prediction was logged."""
    inside = {"experiment": "colours", "epoch": 2, "arm": "bold", "key_hash": b"k" * 16}
    records = [
        prediction("b", 1, time=at(2), image=b"jpeg", inclusion_probability=0.25, **inside),
        prediction("a", 0, time=at(1)),
        prediction("c", None, time=at(3)),
        prediction("d", 2, time=at(4), model="other"),
    ]
    async with _served(tmp_path, database_url) as (store, stub):
        await store.intake.record(evidence(*records))
        labels = [said("a", 1), said("b", "tabby", source=ANNOTATOR, time=at(60)), said("c", 3), said("d", "manul")]
        assert 5 == (await stub.SubmitFeedback(feedback(*labels, said("unknown", 1)))).accepted_count
        await _applied(store)
        rows = await _exported(stub, images=True)

        assert list("abcd") == _names(rows)
        expected = pb.ExportFeedbackResponse(
            prediction_id="b",
            time=at(2),
            model="lite",
            version="1",
            predicted="tiger cat",
            predicted_index=1,
            score=0.75,
            label="tabby",
            label_index=0,
            source=ANNOTATOR,
            inclusion_probability=0.25,
            image=b"jpeg",
            experiment="colours",
            arm="bold",
            label_time=at(60),
        )
        assert expected == rows[1]
        known = [(each.label, each.label_index if each.HasField("label_index") else None) for each in rows]
        assert [("tiger cat", 1), ("tabby", 0), ("", 3), ("manul", None)] == known
        assert (USER, b"", 0) == (rows[0].source, rows[0].image, rows[2].score)


async def test_an_export_is_of_what_was_asked_for(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model, since a time, without images, with what nobody labelled; page after page."""
    monkeypatch.setattr(export, "PAGE", 2)
    records = [prediction(f"p{number}", time=at(number // 2), image=b"jpeg") for number in range(7)]
    async with _served(tmp_path, database_url) as (store, stub):
        await store.intake.record(evidence(*records, prediction("x", time=at(9), model="other")))
        await stub.SubmitFeedback(feedback(*(said(f"p{number}", 1) for number in (0, 3, 5, 6)), said("x", 1)))
        await _applied(store)
        assert ["p0", "p3", "p5", "p6", "x"] == _names(await _exported(stub))
        assert ["p5", "p6", "x"] == _names(await _exported(stub, since=at(2)))
        assert ["x"] == _names(await _exported(stub, model="other"))
        assert [] == await _exported(stub, model="none")
        rows = await _exported(stub, unlabelled=True, model="lite")
        assert [f"p{number}" for number in range(7)] == _names(rows)
        assert {b""} == {each.image for each in rows}
        assert [1, 0] == [each.source for each in rows[:2]]
        assert [True, False] == [each.HasField("label_time") for each in rows[:2]]


async def test_deleted_predictions_are_not_exported(tmp_path: Path, database_url: str) -> None:
    """The call succeeds for those that were never known, too."""
    async with _served(tmp_path, database_url) as (store, stub):
        await store.intake.record(evidence(prediction("a"), prediction("b")))
        await stub.SubmitFeedback(feedback(said("a", 1), said("b", 1)))
        await stub.DeletePredictions(deletion("a", "never known"))
        await _applied(store)
        assert ["b"] == _names(await _exported(stub))


async def test_the_log_tells_who_forgot_how_many(tmp_path: Path, database_url: str) -> None:
    """And why; not which."""
    async with _served(tmp_path, database_url) as (store, stub):
        await stub.DeletePredictions(deletion("a", "b", "a", actor="anna", reason="asked for"))
        await stub.DeletePredictions(deletion("c"))
        await _applied(store)
        with store.database.connect() as connection:
            second, first = records.decisions(connection, 10, None, "")
    assert ("forget", "anna", "asked for", '{"predictions":2}') == (
        first.action,
        first.actor,
        first.reason,
        first.facts_json,
    )
    assert ("somebody", "", "") == (second.actor, second.reason, second.experiment)


async def test_wrong_requests_are_refused_as_a_whole(tmp_path: Path) -> None:
    """Nothing of them is taken."""
    async with _served(tmp_path, f"sqlite:///{tmp_path}/x.db") as (store, stub):
        for call, request in (
            (stub.SubmitFeedback, feedback(said("a", 1), said("", 1))),
            (stub.DeletePredictions, deletion("a", "")),
            (stub.DeletePredictions, deletion("a", actor="rule")),
            (stub.DeletePredictions, deletion("a", reason="x" * 501)),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(request)
            assert grpc.StatusCode.INVALID_ARGUMENT == caught.value.code()
        assert 0 == store.journal.length
