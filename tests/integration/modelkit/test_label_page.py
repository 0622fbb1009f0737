"""The page to label on: what it serves, whom it refuses, and what a killed one leaves."""

import http.client
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from candidates import LABELS, colour_dataset, colour_run
from datasources import write_idx
from typer.testing import CliRunner

from modelkit.cli import app
from modelkit.data.importing import Import, import_dataset
from modelkit.data.labelling.answers import decided, read_answers
from modelkit.data.labelling.journal import Journal
from modelkit.data.labelling.predictions import find_model, guess
from modelkit.data.labelling.queue import Waiting, make_queue
from modelkit.data.labelling.server import LabelServer
from modelkit.data.labelling.session import Session
from modelkit.data.labelling.spool import Spool
from modelkit.data.records import DataError
from modelkit.data.store import Dataset, open_dataset, versions


@dataclass
class Page:
    """Is a browser on the page."""

    server: LabelServer
    queue: list[Waiting]
    file: Path

    def ask(self, place: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        """Sends a request below the secret, with other headers where some are given."""
        return self.raw(f"/{self.server.key}/{place}", body, **headers)

    def raw(self, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        """Sends a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=10)
        content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        words = {"Content-Type": "application/json", **{key.replace("_", "-"): value for key, value in headers.items()}}
        connection.request("GET" if body is None else "POST", path, content, words)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def overview(self) -> dict[str, Any]:
        """Returns what the page shows."""
        overview: dict[str, Any] = json.loads(self.ask("queue")[1])
        return overview


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Imports 40 pictures of colours, all for training."""
    return colour_dataset(tmp_path_factory.mktemp("data"), splits=("train",))


@pytest.fixture
def page(dataset: Dataset, tmp_path: Path) -> Iterator[Page]:
    """Serves a queue of all pictures, as a model is unsure of them."""
    model = find_model(str(colour_run(tmp_path / "run", dataset)), tmp_path)
    queue = make_queue(dataset.rows(), dataset.labels, guess(dataset, "train", model), {})
    file = tmp_path / "labels.csv"
    with Journal(file, "ann") as journal, Spool(dataset.records(), {each.row.id for each in queue}) as spool:
        server = LabelServer(Session("colours", dataset.labels, queue, journal), spool)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Page(server, queue, file)
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_queue_begins_with_what_the_model_doubts(page: Page, dataset: Dataset) -> None:
    """Margins rise along the queue, and each image tells the model's best labels."""
    margins = [float(each.why.split()[-1]) for each in page.queue]
    assert sorted(margins) == margins
    assert dataset.count() == len(page.queue)
    first = page.overview()["images"][0]
    assert (set(LABELS), None) == ({each["label"] for each in first["best"]}, first["answer"])


def test_an_answer_is_on_the_disk_before_it_is_acknowledged(page: Page) -> None:
    """Labels, changed labels and taken back ones, as the file and the next look at the page tell them."""
    one, two, three = (each.row.id for each in page.queue[:3])
    for image, label in ((one, "red"), (two, "red"), (two, "blue"), (three, "green"), (three, "")):
        assert (200, b'{"saved": true}') == page.ask("label", {"image": image, "label": label})
        said = decided(read_answers(page.file)).get(image)
        assert (label or None) == said
    assert ["red", "blue", None] == [each["answer"] for each in page.overview()["images"][:3]]
    assert [one, two] == page.overview()["history"]


def test_pictures_come_as_they_are(page: Page, dataset: Dataset) -> None:
    """The image's own bytes, under its type."""
    record = next(dataset.records())
    assert (200, record.image) == page.ask(f"image/{record.id}")


def test_the_page_needs_nothing_else(page: Page) -> None:
    """No address in it leads out of this machine, and its policy would let none."""
    status, content = page.ask("")
    assert 200 == status
    assert not re.search(rb"https?:|//[a-z]", content)
    assert b"NONCE" not in content


@pytest.mark.parametrize(
    "place",
    ["../../etc/passwd", "image/../../../etc/passwd", "image/%2e%2e/%2e%2e/etc/passwd", "image//etc/passwd", "x"],
)
def test_an_address_is_no_path(page: Page, place: str) -> None:
    """Only ids of the session's images find a picture."""
    assert 404 == page.ask(place)[0]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_other_sites_are_refused(page: Page, headers: dict[str, str]) -> None:
    """A rebound name, another origin, a request that the browser says comes from elsewhere: nothing is written."""
    body = {"image": page.queue[0].row.id, "label": "red"}
    assert 403 == page.ask("label", body, **headers)[0]
    assert 403 == page.ask("queue", **headers)[0]
    assert [] == read_answers(page.file)


@pytest.mark.parametrize("path", ["/", "/queue", "/x/queue", "/x/label", "//queue", "//[/queue", "*"])
def test_who_does_not_know_the_secret_is_refused(page: Page, path: str) -> None:
    """Other users of the machine see neither images nor labels."""
    assert 403 == page.raw(path)[0]
    assert 403 == page.raw(path, {})[0]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" * 4000, "application/json", 400),
        ([], "application/json", 400),
        ({"image": "0" * 64, "label": "red"}, "application/json", 400),
        ({"image": 3, "label": None}, "application/json", 400),
        ({"image": "0" * 64}, "text/plain", 415),
        (b" " * 5000, "application/json", 413),
    ],
)
def test_wrong_bodies_are_refused(page: Page, body: object, kind: str, status: int) -> None:
    """With a sentence; a form of another site could not even send the type."""
    found, content = page.ask("label", body, Content_Type=kind)
    assert status == found
    assert json.loads(content)["error"]
    assert [] == read_answers(page.file)


def test_a_label_that_is_none_is_refused(page: Page) -> None:
    """The page can say only what the data set knows."""
    status, content = page.ask("label", {"image": page.queue[0].row.id, "label": "mauve"})
    assert (400, "label 'mauve' is none of the 4 labels") == (status, json.loads(content)["error"])


def test_finishing_ends_the_server(page: Page) -> None:
    """The command goes on and makes the version."""
    assert not page.server.finished
    assert 200 == page.ask("finish", {})[0]
    assert page.server.finished


def test_a_taken_port_is_told(page: Page) -> None:
    """With the option that chooses another."""
    with pytest.raises(DataError, match=f"--port {page.server.server_port} cannot be listened on"):
        LabelServer(page.server.session, page.server.spool, page.server.server_port)


def test_another_models_labels_are_refused(page: Page, dataset: Dataset, tmp_path: Path) -> None:
    """A model that knows other names, or in another order, has nothing to say here."""
    model = find_model(str(tmp_path / "run"), tmp_path)
    with pytest.raises(DataError, match="the model's 4 labels are not the 4 of colours in their order"):
        guess(dataset, "train", type(model)(model.onnx, model.recipe, model.labels[::-1]))
    with pytest.raises(ValueError, match="has no model 'nobody'"):
        find_model("nobody", tmp_path)


def _start(root: Path, file: Path, *words: str) -> tuple["subprocess.Popen[str]", str]:
    """Starts the command and returns its process and the link that it prints."""
    arguments = ["model", "data", "label", "digits", "--root", str(root), "--file", str(file), "--who", "ann", *words]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "triptych.cli.__main__", *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = next(line for line in process.stdout if "http://" in line)
    return process, line.split()[-1]


def _send(url: str, place: str, body: dict[str, str]) -> None:
    host, _, key = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("POST", f"/{key}{place}", json.dumps(body), {"Content-Type": "application/json"})
    assert 200 == connection.getresponse().status
    connection.close()


def test_a_killed_session_loses_nothing(tmp_path: Path) -> None:
    """After kill -9 every acknowledged label is in the file; the next session goes on and makes a version."""
    (tmp_path / "names.txt").write_text("zero\none\ntwo\n")
    root, file = tmp_path / "root", tmp_path / "labels.csv"
    before = import_dataset(root, Import("digits", write_idx(tmp_path / "in", 40), labels=tmp_path / "names.txt"))
    ids = [row.id for row in before.rows() if row.label == 0][:5]
    unlabelled = tmp_path / "plain"
    for index, record in enumerate(before.records()):
        unlabelled.mkdir(exist_ok=True)
        (unlabelled / f"{index:03}.png").write_bytes(record.image)
    import_dataset(root, Import("digits", unlabelled, labels=tmp_path / "names.txt"))
    process, url = _start(root, file, "--no-suspects")
    with process:
        for image in ids[:3]:
            _send(url, "label", {"image": image, "label": "two"})
        process.kill()
    assert dict.fromkeys(ids[:3], "two") == decided(read_answers(file))
    process, url = _start(root, file, "--no-suspects")
    with process:
        for image in ids[3:]:
            _send(url, "label", {"image": image, "label": "one"})
        _send(url, "finish", {})
        assert 0 == process.wait(30)
    made = open_dataset(root, "digits")
    expected = {**dict.fromkeys(ids[:3], 2), **dict.fromkeys(ids[3:], 1)}
    assert expected == {row.id: row.label for row in made.rows() if row.label >= 0}
    assert (3, "label") == (len(versions(root, "digits")), made.manifest.made.command)


def test_label_files_are_applied_without_a_page(dataset: Dataset, tmp_path: Path) -> None:
    """Several files, the latest word counts, and what happened is told."""
    root = dataset.folder.parent.parent
    ids = [row.id for row in dataset.rows()]
    for name, label, day in (("ann", "dark", 1), ("bob", "red", 2)):
        line = f"{ids[0]},{label},{name},2026-05-0{day}T00:00:00Z\n"
        (tmp_path / f"{name}.csv").write_text(f"image,label,who,when\n{line}")
    files = [word for name in ("bob", "ann") for word in ("--apply", str(tmp_path / f"{name}.csv"))]
    done = CliRunner().invoke(app, ["data", "label", "colours", "--root", str(root), *files])
    assert "1 labels changed; 1 images on which people differ" in done.output
    assert LABELS.index("red") == next(open_dataset(root, "colours").rows()).label
