"""`triptych experiment` and `triptych feedback`, and the clients' feedback, against a gateway that does as it is told.

The gateway is a fake at the wire: `fakes.experiments_gateway` says what it does and what not.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from fakes.experiments_gateway import FakeExperiments, at, failure, serving_experiments
from typer.testing import CliRunner, Result

from triptych import AsyncClient, ClassifyError, Client, Feedback
from triptych.cli.__main__ import app
from triptych.experiments.v1 import experiment_pb2 as types
from triptych.experiments.v1.feedback_service_pb2 import ExportFeedbackResponse

ARMS = ("--model", "lite", "--arm", "control=1:95", "--arm", "b=2:5")


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeExperiments]:
    """Serves the fake, and has commands ask it."""
    with serving_experiments() as fake:
        monkeypatch.setenv("TRIPTYCH_SERVER", fake.address)
        monkeypatch.setenv("TRIPTYCH_STATE_DIR", str(tmp_path / "state"))
        yield fake


def run(*words: str) -> Result:
    """Runs `triptych`."""
    return CliRunner().invoke(app, words)


def done(*words: str) -> str:
    """Runs `triptych`, which has to end well, and returns what it printed."""
    result = run(*words)
    assert 0 == result.exit_code, result.output
    return result.stdout


def judged(word: str = "open", advice: str = "go on", epoch: int = 1, seconds: float = 60) -> types.Verdict:
    """Returns a verdict about b."""
    finding = types.Finding(metric="accuracy", estimate=-0.01, low=-0.04, high=0.02, events=1000, word=word)
    return types.Verdict(
        candidate="b",
        advice=advice,
        sentence=f"b is {word}; {advice}.",
        findings=[finding],
        epoch=epoch,
        control_keys=950,
        candidate_keys=50,
        time=at(seconds),
    )


def test_create_says_everything(gateway: FakeExperiments) -> None:
    """Every option has its place in the request."""
    done(
        *("experiment", "create", "rate", "--model", "lite", "--arm", "control=1", "--arm", "b=2"),
        *("--shadow", "c=3:20%", "--ramp", "0.01,5%", "--hold", "10m"),
        *("--min-keys", "200", "--tenant", "acme", "--header", "X-App=beta", "--slot", "0:0.5", "--layer", "ui"),
        *("--accuracy-margin", "2", "--slow-margin", "3", "--failed-margin", "0.1", "--slow-ms", "80"),
        *("--alpha", "0.01", "--auto-promote", "--promote-no-worse", "--no-rollback", "--description", "New rate."),
        *("--stop-after", "14d"),
        *("--actor", "ann"),
    )
    (request,) = gateway.requests
    expected = types.Experiment(
        name="rate",
        model="lite",
        description="New rate.",
        arms=[types.Arm(name="control", version="1"), types.Arm(name="b", version="2")],
        shadows=[types.Shadow(name="c", version="3", share=0.2)],
        audience=types.Audience(tenants=["acme"], headers={"x-app": "beta"}),
        layer="ui",
        slot_end=0.5,
        rules=types.Rules(
            alpha=0.01,
            accuracy_margin=0.02,
            slow_margin=0.03,
            failed_margin=0.001,
            slow_ms=80,
            auto_promote=True,
            promote_no_worse=True,
            no_rollback=True,
            stop_after_s=14 * 86400,
        ),
        ramp=types.Ramp(steps=[0.01, 0.05], hold_s=600, min_keys=200),
    )
    assert expected == request.experiment
    assert (False, "ann") == (request.start, request.actor)


def test_create_leaves_the_rest_to_the_service(gateway: FakeExperiments) -> None:
    """What was not said is absent, so that the service's defaults hold; the actor is who is logged in."""
    done("experiment", "create", "rate", *ARMS, "--start")
    (request,) = gateway.requests
    assert [False, False, True] == [request.experiment.HasField(each) for each in ("rules", "ramp")] + [request.start]
    assert request.actor


def test_a_reason_travels_with_the_start(gateway: FakeExperiments) -> None:
    """The contract has none for making an experiment, so it is started by a call of its own."""
    done("experiment", "create", "rate", *ARMS, "--start", "--reason", "it is time")
    assert ["create", "start"] == [each.action for each in gateway.decisions]
    assert "it is time" == gateway.decisions[-1].reason


def test_a_start_that_fails_leaves_a_draft(gateway: FakeExperiments) -> None:
    """Then the message says so."""
    gateway.script = [None, failure(grpc.StatusCode.FAILED_PRECONDITION)]
    result = run("experiment", "create", "rate", *ARMS, "--start", "--reason", "now")
    assert 1 == result.exit_code
    assert "rate is a draft now, but was not started" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "lite"), "--arm control=1:95"),
        (("--arm", "control=1"), "--model NAME"),
        ((*ARMS, "--arm", "c"), "is not like control=1:95"),
        ((*ARMS, "--hold", "10m"), "--ramp"),
        ((*ARMS, "--ramp", "0.1", "--hold", "0"), "--hold is at least 1s"),
        ((*ARMS, "--ramp", "0.1", "--min-keys", "0"), "--min-keys"),
        ((*ARMS, "--slot", "0:0"), "no key would take part"),
        ((*ARMS, "--stop-after", "0"), "--stop-after is at least 1s"),
        ((*ARMS, "--reason", "so"), "--start"),
        ((*ARMS, "--header", "beta"), "x-app=beta"),
        (("--file", "none.json"), "none.json cannot be read: No such file"),
    ],
)
def test_wrong_words_are_told_before_anything_is_sent(
    gateway: FakeExperiments, words: tuple[str, ...], said: str
) -> None:
    """The message says what the words should be like."""
    result = run("experiment", "create", "rate", *words)
    assert result.exit_code in (1, 2)
    assert said in result.stderr.replace("\n", " ")
    assert [] == gateway.requests


def test_an_experiment_is_made_from_another(gateway: FakeExperiments, tmp_path: Path) -> None:
    """What `show --json` prints is a file for `create`; options win over it."""
    done("experiment", "create", "first", *ARMS, "--slow-ms", "80", "--start")
    (tmp_path / "first.json").write_text(done("experiment", "show", "first", "--json"))
    done("experiment", "create", "second", "--file", str(tmp_path / "first.json"), "--accuracy-margin", "3")
    made = gateway.experiments["second"]
    assert (80, 0.03, "lite", 2) == (made.rules.slow_ms, made.rules.accuracy_margin, made.model, len(made.arms))
    assert types.EXPERIMENT_STATE_DRAFT == made.state


def test_a_ramp_is_made_from_another_whatever_its_step(gateway: FakeExperiments, tmp_path: Path) -> None:
    """The weights that are shown are those of a step; in a file of somebody's own they are the service's to refuse."""
    done("experiment", "create", "first", "--model", "lite", "--arm", "a=1", "--arm", "b=2", "--ramp", "0.1", "--start")
    gateway.experiments["first"].arms[1].weight = 0.1
    (tmp_path / "first.json").write_text(shown := done("experiment", "show", "first", "--json"))
    own = {name: value for name, value in json.loads(shown)["experiment"].items() if name != "state"}
    (tmp_path / "own.json").write_text(json.dumps(own))
    for name in ("first", "own"):
        done("experiment", "create", f"of-{name}", "--file", str(tmp_path / f"{name}.json"))
    made = [gateway.experiments[name] for name in ("of-first", "of-own")]
    assert [(0, [0.1]), (0.1, [0.1])] == [(each.arms[1].weight, list(each.ramp.steps)) for each in made]


def test_a_file_that_is_no_experiment_is_told(gateway: FakeExperiments, tmp_path: Path) -> None:
    """The message names the file, and the field."""
    (tmp_path / "a.json").write_text('{"arm": []}')
    result = run("experiment", "create", "rate", "--file", str(tmp_path / "a.json"))
    assert (2, True) == (result.exit_code, '"arm"' in result.stderr)


def test_all_pages_are_listed(gateway: FakeExperiments) -> None:
    """The list goes on until its last page, the newest first."""
    for name in "abcde":
        done("experiment", "create", name, *ARMS)
    assert list("edcba") == [each["name"] for each in json.loads(done("experiment", "list", "--json"))]
    assert "control 95 %, b 5 %" in done("experiment", "list", "--model", "lite")


def test_nothing_to_list_is_told(gateway: FakeExperiments) -> None:
    """An empty list is no failure."""
    assert "There is no experiment yet." in run("experiment", "list").stderr
    assert "no experiment that runs of lite" in run("experiment", "list", "--running", "--model", "lite").stderr
    assert [] == json.loads(done("experiment", "list", "--json"))


def test_the_life_of_an_experiment(gateway: FakeExperiments) -> None:
    """Start, weights and promotion, each with its actor and its reason."""
    done("experiment", "create", "rate", *ARMS)
    done("experiment", "start", "rate", "--reason", "one", "--actor", "ann")
    assert "control 65.5 %, b 34.5 %" in done("experiment", "weights", "rate", "b=50", "--reason", "two")
    assert {"control": 95.0, "b": 50.0} == dict(gateway.requests[-1].weights)
    assert "version 2 of lite" in done("experiment", "promote", "rate", "b", "--reason", "three")
    assert ["one", "two", "three"] == [each.reason for each in gateway.decisions[1:]]
    assert "concluded" in done("experiment", "show", "rate")


def test_evidence_begins_anew(gateway: FakeExperiments) -> None:
    """Without weights the experiment stays as it is; with some, the others keep theirs."""
    done("experiment", "create", "rate", *ARMS, "--start")
    assert "evidence begins anew" in done("experiment", "weights", "rate", "--anew")
    assert (True, {}) == (gateway.requests[-1].anew, dict(gateway.requests[-1].weights))
    done("experiment", "weights", "rate", "b=5", "--anew")
    assert (True, {"control": 95.0, "b": 5.0}) == (gateway.requests[-1].anew, dict(gateway.requests[-1].weights))
    nothing = run("experiment", "weights", "rate")
    assert (2, True) == (nothing.exit_code, "--anew" in nothing.stderr)


def test_a_draft_is_deleted_and_another_stopped(gateway: FakeExperiments) -> None:
    """Two ways to end one."""
    done("experiment", "create", "a", *ARMS)
    done("experiment", "delete", "a")
    done("experiment", "create", "b", *ARMS, "--start")
    done("experiment", "stop", "b", "--reason", "enough")
    assert ["b"] == list(gateway.experiments)
    assert types.EXPERIMENT_STATE_STOPPED == gateway.experiments["b"].state


def test_pins_and_the_holdout(gateway: FakeExperiments) -> None:
    """What is about no experiment."""
    done("experiment", "pin", "lite", "2")
    done("experiment", "pin", "other", "3")
    done("experiment", "unpin", "other")
    done("experiment", "holdout", "5%")
    assert ({"lite": "2", "other": ""}, 0.05) == (gateway.pins, gateway.holdout)


def test_changes_are_sent_once(gateway: FakeExperiments) -> None:
    """A change that met an absent server may have been made: it is not repeated; what only asks is."""
    done("experiment", "create", "rate", *ARMS)
    gateway.requests.clear()
    gateway.script = [failure(grpc.StatusCode.UNAVAILABLE)]
    assert 1 == run("experiment", "stop", "rate").exit_code
    assert 1 == len(gateway.requests)
    gateway.script = [failure(grpc.StatusCode.UNAVAILABLE)]
    done("experiment", "list")


def test_a_gateway_without_experiments_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A gateway that does not know the service answers in gRPC's words, which say nothing to people."""
    monkeypatch.setenv("TRIPTYCH_STATE_DIR", str(tmp_path))
    server = grpc.server(None)  # type: ignore[arg-type] # it answers nothing, so it needs no threads
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        result = run("experiment", "list", "--server", f"127.0.0.1:{port}", "--timeout", "5")
    finally:
        server.stop(None).wait()
    assert (1, True) == (result.exit_code, "keeps no experiments" in result.stderr)


def test_nobody_at_home_is_told(tmp_path: Path) -> None:
    """With what to do about it."""
    result = run("experiment", "list", "--server", "127.0.0.1:1", "--state-dir", str(tmp_path))
    assert (1, True) == (result.exit_code, "triptych up" in result.stderr)


@pytest.mark.parametrize(
    ("state", "code"), [(types.EXPERIMENT_STATE_CONCLUDED, 0), (types.EXPERIMENT_STATE_STOPPED, 3)]
)
def test_a_watch_ends_with_the_experiment(gateway: FakeExperiments, state: "types.ExperimentState", code: int) -> None:
    """Its exit status tells how."""
    done("experiment", "create", "rate", *ARMS, "--start")
    gateway.end("rate", state, "promote", "rule", "surely better")
    result = run("experiment", "watch", "rate", "--until-done")
    assert code == result.exit_code
    assert "promote by rule: surely better" in result.stdout


class Watch:
    """Runs `triptych experiment watch` in a process of its own and reads its lines."""

    def __init__(self, gateway: FakeExperiments, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "triptych.cli", "experiment", "watch", "rate", "--interval", "0.2", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TRIPTYCH_SERVER": gateway.address, "PYTHONUNBUFFERED": "1"},  # noqa: TID251 (a child's)
        )
        assert self.process.stdout is not None
        self._lines = self.process.stdout

    def until(self, said: str) -> str:
        """Reads until a line says this."""
        for line in self._lines:
            if said in line:
                return line
        raise AssertionError(f"{said!r} was not said")

    def interrupt(self) -> tuple[int, str]:
        """Presses Ctrl-C, and returns the exit status and what was said on stderr."""
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=20)
        return self.process.returncode, err


def test_a_watch_tells_every_change_until_it_is_interrupted(gateway: FakeExperiments) -> None:
    """A verdict that changes, a gateway that is away and comes back; Ctrl-C is a clean end."""
    done("experiment", "create", "rate", *ARMS, "--start")
    gateway.verdicts = [judged()]
    watch = Watch(gateway)
    watch.until("b is open; go on.")
    gateway.verdicts = [judged("worse", "roll back")]
    watch.until("b is worse; roll back.")
    gateway.script = [failure(grpc.StatusCode.UNAVAILABLE)] * 2  # the second attempt fails, too
    watch.until("No answer: As scripted.")
    watch.until("There is an answer again.")
    assert (0, "") == watch.interrupt()


def test_an_interrupted_wait_is_no_success(gateway: FakeExperiments) -> None:
    """Who waits for the end and presses Ctrl-C does not learn that it came."""
    done("experiment", "create", "rate", *ARMS, "--start")
    watch = Watch(gateway, "--until-done")
    watch.until("rate running")
    assert (130, "") == watch.interrupt()


def test_a_report_tells_the_story(gateway: FakeExperiments, tmp_path: Path) -> None:
    """Markdown with the verdict in words and numbers, a plot per metric and one of the keys, and the whole log."""
    done("experiment", "create", "rate", *ARMS, "--start")
    gateway.history = [judged(epoch=1 + number // 5, seconds=60 * number) for number in range(1, 10)]
    gateway.verdicts = [judged("worse", "roll back")]
    for number in range(5):
        gateway.decide("rate", "weights", "ann", f"reason *{number}*")
    gateway.end("rate", types.EXPERIMENT_STATE_STOPPED, "roll back", "rule", "b is surely worse")
    out = tmp_path / "a" / "report"
    assert str(out / "report.md") in done("experiment", "report", "rate", "--out", str(out))
    assert {"report.md", "keys.svg", "b-accuracy.svg"} == {path.name for path in out.iterdir()}
    text = (out / "report.md").read_text()
    for said in (
        "# Experiment `rate`",
        "**stopped**",
        "## b: roll back",
        "| accuracy | worse | -1.00 | -4.00 and +2.00 | 1,000 |",
        "![b-accuracy](b-accuracy.svg)",
        r"reason \*4\*",
        "**roll back** by rule: b is surely worse",
    ):
        assert said in text, said
    assert text.index("**create**") < text.index("**roll back** by rule")


def test_feedback_is_sent(gateway: FakeExperiments) -> None:
    """One answer, by name or by index."""
    done("feedback", "send", "p1", "--label", "tabby")
    done("feedback", "send", "p2", "--index", "281", "--source", "annotator", "--id", "f")
    first, second = (request.feedback[0] for request in gateway.requests)
    assert ("p1", "tabby", 1) == (first.prediction_id, first.label, first.source)
    assert (281, 2, "f") == (second.label_index, second.source, second.feedback_id)


def test_a_file_is_sent_in_pages(gateway: FakeExperiments, tmp_path: Path) -> None:
    """A thousand at a time."""
    lines = "".join(f"p{number},tabby\n" for number in range(2500))
    (tmp_path / "labels.csv").write_text("prediction_id,label\n" + lines)
    assert "2,500 taken." in done("feedback", "send", "--file", str(tmp_path / "labels.csv"))
    assert [1000, 1000, 500] == [len(request.feedback) for request in gateway.requests]


def test_labels_that_no_model_has_are_told(gateway: FakeExperiments) -> None:
    """What is unknown goes to the person, and the count to the script."""
    gateway.unknown_labels = ["feedback[0].label is 'tabbby'"]
    result = run("feedback", "send", "p", "--label", "tabbby")
    assert (0, "Taken. 1 of them name a label of no model there.\n") == (result.exit_code, result.stdout)
    assert "Taken all the same: feedback[0].label is 'tabbby'" in result.stderr


def test_a_file_that_breaks_off_says_how_far_it_came(gateway: FakeExperiments, tmp_path: Path) -> None:
    """What is kept counts once, so the whole file can be sent again."""
    (tmp_path / "labels.csv").write_text("prediction_id,label\n" + "p,tabby\n" * 1500)
    gateway.script = [None, failure(grpc.StatusCode.RESOURCE_EXHAUSTED)]
    result = run("feedback", "send", "--file", str(tmp_path / "labels.csv"))
    assert 1 == result.exit_code
    assert "1,000 of 1,500 are kept" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "PREDICTION_ID or a --file"),
        (("p1",), "--label NAME or --index INDEX"),
        (("p1", "--label", "a", "--index", "1"), "--label NAME or --index INDEX"),
        (("p1", "--file", "a.csv"), "PREDICTION_ID or a --file"),
        (("--file", "a.csv", "--label", "x"), "each line says its own"),
        (("--file", "none.csv"), "cannot be read"),
    ],
)
def test_feedback_that_says_nothing_is_refused(gateway: FakeExperiments, words: tuple[str, ...], said: str) -> None:
    """Nothing is sent."""
    result = run("feedback", "send", *words)
    assert result.exit_code in (1, 2)
    assert said in result.stderr.replace("\n", " ")
    assert [] == gateway.requests


def test_feedback_is_exported(gateway: FakeExperiments, tmp_path: Path) -> None:
    """The request says which; the folder holds what came; what lacks an image is told."""
    gateway.rows = [
        ExportFeedbackResponse(prediction_id="p1", model="lite", label="cat", image=b"cat"),
        ExportFeedbackResponse(prediction_id="p2", model="lite", label="ant"),
    ]
    words = ("--model", "lite", "--since", "7d", "--unlabelled")
    result = run("feedback", "export", "--out", str(tmp_path / "out"), *words)
    assert 0 == result.exit_code
    assert "1 answers, 1 of them labelled, 1 images" in result.stdout
    assert "1 more have no image" in result.stderr
    (request,) = gateway.requests
    assert ("lite", True, True) == (request.model, request.unlabelled, request.images)
    assert request.HasField("since")
    (line,) = (tmp_path / "out" / "feedback.jsonl").read_text().splitlines()
    assert "p1" == json.loads(line)["prediction_id"]


def test_an_export_without_any_image_says_what_to_set(gateway: FakeExperiments, tmp_path: Path) -> None:
    """As installed, no image is kept."""
    gateway.rows = [ExportFeedbackResponse(prediction_id="p1", label="cat")] * 2
    result = run("feedback", "export", "--out", str(tmp_path / "out"))
    assert "Nothing was written: of 2 answers no image was kept" in result.stderr
    assert "TRIPTYCH_RETAIN_IMAGES=all" in result.stderr
    assert "Next:" not in result.stderr


def test_an_export_that_breaks_leaves_no_folder(gateway: FakeExperiments, tmp_path: Path) -> None:
    """Nothing there can be taken for an export."""
    gateway.rows = [ExportFeedbackResponse(prediction_id="p", image=b"x")] * 3
    gateway.breaks_after = 2
    assert 1 == run("feedback", "export", "--out", str(tmp_path / "out")).exit_code
    assert not (tmp_path / "out").exists()


def test_predictions_are_forgotten(gateway: FakeExperiments) -> None:
    """All that are named; with who wants it, and why."""
    assert "2 forgotten." in done("feedback", "delete", "p1", "p2", "--reason", "asked for", "--actor", "ann")
    assert (["p1", "p2"], "ann", "asked for") == (
        gateway.forgotten,
        gateway.requests[-1].actor,
        gateway.requests[-1].reason,
    )


@pytest.mark.parametrize("kind", ["sync", "aio"])
async def test_both_clients_send_feedback(gateway: FakeExperiments, kind: str) -> None:
    """One answer or many, in calls of a thousand; a call that meets an absent server is tried once more."""
    many = [Feedback(f"p{number}", label_index=number) for number in range(1001)]
    gateway.script = [failure(grpc.StatusCode.UNAVAILABLE)]
    if kind == "aio":
        async with AsyncClient(gateway.address) as client:
            await client.feedback("p", label="tabby", source="system")
            accepted = await client.feedback_many(many)
    else:
        with Client(gateway.address) as blocking:
            await asyncio.to_thread(blocking.feedback, "p", label="tabby", source="system")
            accepted = await asyncio.to_thread(blocking.feedback_many, many)
    assert 1001 == accepted
    assert [1, 1, 1000, 1] == [len(request.feedback) for request in gateway.requests]
    assert ("tabby", 3) == (gateway.requests[1].feedback[0].label, gateway.requests[1].feedback[0].source)


async def test_feedback_that_is_refused_is_raised(gateway: FakeExperiments) -> None:
    """With the server's code and sentence; what makes no sense never leaves."""
    gateway.script = [failure(grpc.StatusCode.INVALID_ARGUMENT)]
    with Client(gateway.address) as client:
        with pytest.raises(ClassifyError, match=r"As scripted\."):
            client.feedback("p", label="tabby")
        with pytest.raises(ValueError, match="either"), suppress(ClassifyError):
            client.feedback("p")
    assert 1 == len(gateway.requests)
