"""The command line against the real experiments service, which speaks for itself what a gateway forwards.

Evidence comes from the test, as gateways send it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from datasources import picture
from fakes.experiments_service import Stubs, serving
from typer.testing import CliRunner, Result

from modelkit.data.records import Item
from modelkit.data.sources import open_source
from triptych.cli.__main__ import app
from triptych.experiments.v1 import evidence_service_pb2 as pb

T = TypeVar("T")
SEARCHED_S = 30
"""Within which what was sent is to be seen: the writer and the judge work beside the calls."""


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stubs]:
    """Runs the service, and has commands ask it."""
    async with serving(tmp_path / "data", f"sqlite:///{tmp_path / 'experiments.db'}") as stubs:
        monkeypatch.setenv("TRIPTYCH_SERVER", f"127.0.0.1:{stubs.port}")
        monkeypatch.setenv("TRIPTYCH_STATE_DIR", str(tmp_path / "state"))
        yield stubs


async def run(*words: str) -> Result:
    """Runs `triptych`."""
    return await asyncio.to_thread(CliRunner().invoke, app, words)


async def done(*words: str) -> str:
    """Runs `triptych`, which has to end well, and returns what it printed."""
    result = await run(*words)
    assert 0 == result.exit_code, result.output
    return result.stdout


async def until(look: Callable[[], Awaitable[T]], fits: Callable[[T], bool]) -> None:
    """Looks again and again until what is found fits."""
    async with asyncio.timeout(SEARCHED_S):
        while not fits(await look()):  # noqa: ASYNC110 (another process sets no event)
            await asyncio.sleep(0.1)


async def record(service: Stubs, **evidence: Any) -> None:
    """Sends evidence as a gateway does."""
    await service.evidence.RecordEvidence(pb.RecordEvidenceRequest(**evidence))


def prediction(number: int) -> pb.PredictionRecord:
    """Returns an answer that was logged with its image."""
    image = picture(number)
    top = [pb.RankedClass(index=7, label="ant", score=0.6), pb.RankedClass(index=8, label="bee", score=0.3)]
    made = pb.PredictionRecord(
        prediction_id=f"01a2240f-0000-7000-8000-{number:012}",
        model="lite",
        version="1",
        top=top,
        inclusion_probability=1,
        image_digest=bytes(32),
        image_bytes=len(image),
        image=image,
    )
    made.time.GetCurrentTime()
    return made


async def test_feedback_becomes_data_to_learn_from(service: Stubs, tmp_path: Path) -> None:
    """What was sent by file is exported with its images, and the importer reads it; what was deleted is gone."""
    records = [prediction(number) for number in range(1, 5)]
    first, *others = (each.prediction_id for each in records)
    await record(service, predictions=records)
    (tmp_path / "labels.csv").write_text(
        "prediction_id,label,label_index\n" + "".join(f"{each},,8\n" for each in others[:2]) + f"{first},cat,\n"
    )
    await done("feedback", "send", "--file", str(tmp_path / "labels.csv"), "--source", "annotator")
    await done("feedback", "send", first, "--label", "dog")  # a user's word does not go above an annotator's
    out = tmp_path / "out"

    async def exported() -> dict[str, str | None]:
        await done("feedback", "export", "--out", str(out), "--unlabelled", "--since", "1h")
        found = list(open_source(out).items()) if (out / "feedback.jsonl").stat().st_size else []
        return {each.source.removeprefix("feedback:"): each.label for each in found if isinstance(each, Item)}

    expected = {first: "cat", others[0]: "bee", others[1]: "bee", others[2]: None}
    await until(exported, lambda found: found == expected)
    await done("feedback", "delete", first)
    await until(exported, lambda found: first not in found)
    assert 3 == len(list((out / "images").iterdir()))


async def test_an_experiment_is_followed_to_its_end(service: Stubs, tmp_path: Path) -> None:
    """Made, started, judged, reweighted, rolled back by rule; the watch ends with it, and the report tells why."""
    arms = ("--model", "lite", "--arm", "control=1:50", "--arm", "b=2:50")
    await done("experiment", "create", "rate", *arms, "--start", "--reason", "it is time", "--actor", "ann")
    assert "running" in await done("experiment", "list", "--running")
    assert "b 20 %" in await done("experiment", "weights", "rate", "control=80", "b=20", "--actor", "ann")
    result = await run("experiment", "create", "other", *arms, "--start")
    assert (1, True) == (result.exit_code, "has the keys from 0 to 1" in result.stderr.replace("\n", " "))

    watch = asyncio.create_task(run("experiment", "watch", "rate", "--until-done", "--interval", "0.2"))
    exposures = [
        pb.Exposure(
            experiment="rate",
            epoch=2,
            arm="b" if number % 5 == 0 else "control",
            key_hash=number.to_bytes(16),
            failed=number % 5 == 0,
        )
        for number in range(500)
    ]
    await record(service, exposures=exposures)
    assert 3 == (await asyncio.wait_for(watch, SEARCHED_S)).exit_code
    assert "roll back by rule: b fails more often" in watch.result().stdout

    shown = json.loads(await done("experiment", "show", "rate", "--json"))
    assert ("EXPERIMENT_STATE_STOPPED", "roll back") == (shown["experiment"]["state"], shown["verdicts"][0]["advice"])
    await done("experiment", "report", "rate", "--out", str(tmp_path / "report"))
    text = (tmp_path / "report" / "report.md").read_text()
    for said in ("**start** by ann: it is time", "**roll back** by rule: b fails more often", "(b-failures.svg)"):
        assert said in text, said
    assert (tmp_path / "report" / "b-failures.svg").exists()
