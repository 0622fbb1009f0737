"""Experiments on the real cluster: what real traffic shows is measured, and what is bad goes by itself."""

import itertools
import math
import os
import signal
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from candidates import LABELS, SIDE, Colours, colour_model, colour_picture
from e2e.cluster import PHOTOGRAPHS, Cluster, start_cluster, triptych, until
from PIL import Image
from releases import release

from benchmarks import weights
from modelkit.publish import Card, publish
from servicekit.manifest import Output, Recipe

MODEL = "colours"
CARD = Card(
    MODEL, "Colours", "", "CC0-1.0", {}, Recipe(width=SIDE, height=SIDE, crop=1.0), Output(classes=len(LABELS)), LABELS
)
VERSIONS = {
    "1": Colours(),
    "2": Colours(gain=math.nan),  # answers that are no numbers
    "3": Colours(classes=(1, 0, 2, 3)),  # red for green, and green for red
    "4": Colours(gain=2),  # as good as the first
}
ENDED = ("EXPERIMENT_STATE_STOPPED", "EXPERIMENT_STATE_CONCLUDED")
SEEDS = itertools.count()
PICTURES = {label: colour_picture(label, seed=next(SEEDS)) for label in LABELS}


@pytest.fixture(name="colours")
def _colours(shared_colours: Cluster) -> Cluster:
    """The cluster, once its gateway has heard that the test before ended its experiment."""
    until(lambda: not shared_colours.post(PICTURES["red"]).json()["experiment"], within_s=4)
    return shared_colours


@pytest.fixture(scope="module")
def shared_colours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with a good version that is live, and others."""
    folder = tmp_path_factory.mktemp("colours")
    for number, made in VERSIONS.items():
        publish(folder / "models", CARD, release(number, colour_model(made)), keep_live=number != "1")
    kept = {"TRIPTYCH_RETAIN_IMAGES": "all"}
    cluster = start_cluster(folder / "state", "--model-repository", str(folder / "models"), variables=kept)
    yield cluster
    assert triptych("down", "--state-dir", str(cluster.state_dir)).returncode == 0


class Experiment:
    """Is an experiment on a cluster, by its HTTP API."""

    def __init__(self, cluster: Cluster, name: str, **more: Any) -> None:
        self._cluster = cluster
        self.path = f"/api/v1/experiments/{name}"
        body = {"experiment": {"name": name, **more}, "start": True, "actor": "ann"}
        made = httpx.post(f"{cluster.http}/api/v1/experiments", json=body, timeout=10)
        assert 200 == made.status_code, made.text

    def get(self, more: str = "") -> dict[str, Any]:
        """Returns what a route below says."""
        found = httpx.get(f"{self._cluster.http}{self.path}{more}", timeout=10)
        assert 200 == found.status_code, found.text
        body: dict[str, Any] = found.json()
        return body

    def post(self, what: str, **more: Any) -> None:
        """Does something with it."""
        done = httpx.post(f"{self._cluster.http}{self.path}/{what}", json={"actor": "ann", **more}, timeout=10)
        assert 200 == done.status_code, done.text

    def state(self) -> str:
        """Returns where it stands."""
        return str(self.get()["experiment"]["state"])

    def ended(self) -> bool:
        """Says whether it has."""
        return self.state() in ENDED

    def actions(self) -> list[str]:
        """Returns what was done, the oldest first."""
        return [each["action"] for each in reversed(self.get("/decisions")["decisions"])]


class Load:
    """Asks with many keys, without a pause, until its context ends; whoever judges gives feedback on each answer.

    Every picture is another one: what the result cache answers says nothing of a version.
    """

    def __init__(self, cluster: Cluster, *, judging: bool = False) -> None:
        self.failed: list[str] = []
        self.versions: set[str] = set()
        self.answers = 0
        self._cluster, self._judging = cluster, judging
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(3)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, client: int) -> None:
        number = 0
        with httpx.Client(base_url=self._cluster.http, timeout=30) as http:
            while not self._over.is_set():
                number += 1
                label = LABELS[number % len(LABELS)]
                headers = {"Content-Type": "image/png", "X-Route-Key": f"{client}-{number}"}
                answer = http.post("/api/v1/classify", content=colour_picture(label, next(SEEDS)), headers=headers)
                self.answers += 1
                if answer.status_code != 200:
                    self.failed.append(answer.text)
                    continue
                self.versions.add(answer.json()["version"])
                if self._judging:
                    truth = {"prediction_id": answer.json()["prediction_id"], "label": label}
                    told = http.post("/api/v1/feedback", json=truth)
                    if told.status_code != 200:
                        self.failed.append(told.text)


def _arms(candidate: str) -> list[dict[str, Any]]:
    return [{"name": "live", "version": "1", "weight": 3}, {"name": "new", "version": candidate, "weight": 1}]


def test_a_version_that_fails_is_rolled_back_and_no_caller_notices(colours: Cluster) -> None:
    """Its requests are answered by the live version, and the log tells what happened."""
    with Load(colours) as load:
        experiment = Experiment(colours, "fails", model=MODEL, arms=_arms("2"))
        until(experiment.ended, within_s=60)
    assert ([], {"1"}) == (load.failed, load.versions)
    assert "EXPERIMENT_STATE_STOPPED" == experiment.state()
    assert ["create", "start", "roll back"] == experiment.actions()
    (last, *_) = experiment.get("/decisions")["decisions"]
    assert ("rule", True) == (last["actor"], "fail" in last["reason"]), last


def test_a_version_that_is_wrong_is_rolled_back_by_feedback(colours: Cluster) -> None:
    """Labels, by prediction id, are what tells it from the live one; a ramp begins with a small part of the keys."""
    with Load(colours, judging=True) as load:
        ramp = {"steps": [0.3, 0.6], "hold_s": 3600}
        arms = [{"name": arm["name"], "version": arm["version"]} for arm in _arms("3")]
        experiment = Experiment(colours, "wrong", model=MODEL, arms=arms, ramp=ramp)
        until(experiment.ended, within_s=90)
    assert ([], {"1", "3"}) == (load.failed, load.versions)
    assert "roll back" == experiment.actions()[-1]
    assert "accuracy" in experiment.get("/decisions")["decisions"][0]["reason"]


def test_what_is_promoted_answers_everybody(colours: Cluster) -> None:
    """The pin outlives the experiment, and is given back to the repository."""
    experiment = Experiment(colours, "good", model=MODEL, arms=_arms("4"))
    experiment.post("promote", arm="new", reason="It is as good, and smaller.")

    def version() -> str:
        return str(colours.post(PICTURES["red"]).json()["version"])

    until(lambda: version() == "4", within_s=4)
    assert "EXPERIMENT_STATE_CONCLUDED" == experiment.state()
    unpinned = httpx.post(f"{colours.http}/api/v1/models/{MODEL}/pin", json={"version": "", "actor": "ann"})
    assert 200 == unpinned.status_code, unpinned.text
    until(lambda: version() == "1", within_s=4)


def test_a_shadow_bounds_without_labels_what_int8_changes(cluster: Cluster) -> None:
    """Real photographs, each seen by both versions: the bound holds the share of those with another first class."""
    shadow = {"name": "int8", "version": "2", "share": 1.0}
    arms = [{"name": "fp32", "version": "1", "weight": 1}]
    experiment = Experiment(cluster, "int8", model="efficientnet_lite0", arms=arms, shadows=[shadow])
    pictures = list(_views())
    with httpx.Client(base_url=cluster.http, headers={"Content-Type": "image/jpeg"}, timeout=30) as http:

        def ask(picture: bytes, version: str = "") -> dict[str, Any]:
            answer: dict[str, Any] = http.post(f"/api/v1/classify?version={version}", content=picture).json()
            return answer

        until(lambda: ask(pictures[0])["experiment"] == "int8", within_s=4)
        own, other = ([ask(picture, version) for picture in pictures] for version in ("", "2"))
    differing = sum(_first(one) != _first(two) for one, two in zip(own, other, strict=True))

    def finding() -> dict[str, Any]:
        (verdict,) = experiment.get("/verdicts")["verdicts"]
        return next(each for each in verdict["findings"] if each["metric"] == "disagreement")

    until(lambda: int(finding()["events"]) >= len(pictures), within_s=20)
    found = finding()
    experiment.post("stop", reason="Seen.")
    assert {("int8", "fp32", "1")} == {(each["experiment"], each["arm"], each["version"]) for each in own}
    assert differing <= round(found["estimate"] * int(found["events"])) <= differing + 1  # the first was asked before
    assert found["low"] <= differing / len(pictures) <= found["high"] < 0.25


def _views() -> Iterator[bytes]:
    """Yields parts of the photographs, as cameras that moved a little would have taken them."""
    for path in sorted(PHOTOGRAPHS.glob("*.*g")):
        with Image.open(path) as opened:
            photograph = opened.convert("RGB")
        side = min(photograph.size) * 4 // 5
        for step in range(10):
            left = (photograph.width - side) * step // 9
            upper = (photograph.height - side) * (9 - step) // 9
            view = BytesIO()
            photograph.crop((left, upper, left + side, upper + side)).resize((320, 320)).save(view, "JPEG")
            yield view.getvalue()


def _first(answer: dict[str, Any]) -> int:
    return int(answer["predictions"][0]["index"])


def test_weights_change_under_load_and_keys_stay(cluster: Cluster) -> None:
    """Nobody's request fails, and every key has the arm that the weights give it."""
    seen = weights.run(int(cluster.grpc.rpartition(":")[2]), changes=20, keys=100, checks=2)
    assert ({}, 0) == (dict(seen.failures), seen.misdealt)
    assert seen.answers > 2 * 100


def test_predictions_go_on_without_the_experiments_service(colours: Cluster) -> None:
    """Killed again and again under load, it costs no request; the routing that is known stays; feedback comes back."""
    experiment = Experiment(colours, "killed", model=MODEL, arms=_arms("4"))
    until(lambda: colours.post(PICTURES["red"]).json()["experiment"] == "killed", within_s=4)
    with Load(colours) as load:
        for _ in range(3):
            pid = colours.pid("experiments")
            os.kill(pid, signal.SIGKILL)
            assert "killed" == colours.post(PICTURES["red"]).json()["experiment"]
            assert colours.ready()
            until(lambda pid=pid: colours.replaced("experiments", pid), within_s=20)  # type: ignore[misc]  # bound now
    assert [] == load.failed
    told = {"prediction_id": colours.post(PICTURES["red"]).json()["prediction_id"], "label": "red"}

    def tell() -> bool:
        return httpx.post(f"{colours.http}/api/v1/feedback", json=told, timeout=10).status_code == 200

    until(tell, within_s=10)
    experiment.post("stop", reason="Seen.")


def test_feedback_comes_back_as_data_to_learn_from(colours: Cluster, tmp_path: Path) -> None:
    """A label by index, one by name, one given twice: each prediction is exported once, with the label that holds."""
    given = {label: str(colours.post(PICTURES[label]).json()["prediction_id"]) for label in ("red", "green")}
    for body in (
        {"prediction_id": given["red"], "label_index": LABELS.index("red")},
        {"prediction_id": given["red"], "label_index": LABELS.index("red")},
        {"prediction_id": given["green"], "label": "blue"},
        {"prediction_id": given["green"], "label": "green"},
    ):
        assert 200 == httpx.post(f"{colours.http}/api/v1/feedback", json=body, timeout=10).status_code

    def exported() -> dict[str, Any]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        done = triptych("feedback", "export", "--out", str(folder), "--server", colours.grpc)
        assert 0 == done.returncode, done.stderr.decode()
        lines = (folder / "feedback.jsonl").read_text().splitlines()
        rows = [httpx.Response(200, text=line).json() for line in lines]
        return {row["prediction_id"]: row["label"] for row in rows if row["prediction_id"] in given.values()}

    until(lambda: exported() == {given["red"]: "red", given["green"]: "green"}, within_s=20)
