"""Exports of feedback: `triptych model data import` reads them, and a half is never taken for the whole."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasources import picture
from typer.testing import CliRunner

from modelkit.cli import app as modelkit
from modelkit.data.records import DataError, Item, image_id
from modelkit.data.sources import open_source
from triptych.cli.feedback_export import ExportError, read_names, write_export
from triptych.experiments.v1.feedback_service_pb2 import FEEDBACK_SOURCE_ANNOTATOR, ExportFeedbackResponse


def answer(number: int, **changes: Any) -> ExportFeedbackResponse:
    """Returns an answer of which somebody said that it was a cat."""
    values: dict[str, Any] = {
        "prediction_id": f"p{number}",
        "model": "lite",
        "version": "2",
        "predicted": "ant",
        "predicted_index": 7,
        "score": 0.25,
        "label": "cat",
        "source": FEEDBACK_SOURCE_ANNOTATOR,
        "inclusion_probability": 1.0,
        "image": picture(number),
        "experiment": "rate",
        "arm": "b",
    }
    made = ExportFeedbackResponse(**{**values, **changes})
    made.time.FromSeconds(1_790_000_000)
    if made.label or made.HasField("label_index"):
        made.label_time.FromSeconds(1_790_000_060)
    return made


def items(folder: Path) -> list[Any]:
    """Returns what the importer reads."""
    return list(open_source(folder).items())


def test_the_importer_reads_an_export(tmp_path: Path) -> None:
    """`triptych model data import` takes the folder as it is: images, labels, and those that nobody labelled."""
    outcome = write_export(tmp_path / "out", [answer(1), answer(2, label="ant"), answer(3, label="", image=picture(3))])
    assert (3, 2, 3) == (outcome.written, outcome.labelled, len(outcome.images))
    words = ["data", "import", str(tmp_path / "out"), "--name", "users", "--root", str(tmp_path / "datasets")]
    result = CliRunner().invoke(modelkit, words)
    assert 0 == result.exit_code, result.output
    read = items(tmp_path / "out")
    assert [("cat", picture(1)), ("ant", picture(2)), (None, picture(3))] == [(i.label, i.image) for i in read]
    assert ["feedback.jsonl", "images"] == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert ["datasets", "out"] == sorted(path.name for path in tmp_path.iterdir())


def test_a_line_tells_more_than_the_importer_wants(tmp_path: Path) -> None:
    """Who said it, when, what was predicted, how probably it was logged, and by which arm."""
    write_export(tmp_path / "out", [answer(1)])
    (line,) = map(json.loads, (tmp_path / "out" / "feedback.jsonl").read_text().splitlines())
    expected = {
        "prediction_id": "p1",
        "image_sha256": image_id(picture(1)),
        "label": "cat",
        "predicted": "ant",
        "label_prob": 0.25,
        "at": "2026-09-21T14:14:20+00:00",
        "source": "annotator",
        "inclusion_probability": 1.0,
        "logged_probability": 1.0,
        "arm": "b",
    }
    assert expected == {name: line[name] for name in expected}


def test_answers_without_an_image_are_counted(tmp_path: Path) -> None:
    """There is nothing to learn from them."""
    outcome = write_export(tmp_path / "out", [answer(1), answer(2, image=b"")])
    assert (1, 1) == (outcome.written, outcome.without_image)
    assert ["feedback:p1"] == [item.source for item in items(tmp_path / "out")]


def test_nobody_knows_how_likely_an_answer_was_kept_where_others_were_not(tmp_path: Path) -> None:
    """Images of uncertain answers only, say, are no sample whose weights are known; else the log's are."""
    sampled = answer(1, inclusion_probability=0.25)
    expected = ([answer(2)], 0.25), ([answer(2, image=b"")], None)
    for others, known in expected:
        write_export(tmp_path / "out", [sampled, *others])
        line = json.loads((tmp_path / "out" / "feedback.jsonl").read_text().splitlines()[0])
        assert (known, 0.25) == (line["inclusion_probability"], line["logged_probability"])


def test_labels_by_index_get_their_name(tmp_path: Path) -> None:
    """From other answers of the same model, also later ones, or from the file of its labels; else they are counted."""
    nameless = [answer(1, label="", label_index=281), answer(2, label="", label_index=5)]
    teaching = answer(3, label="tabby", label_index=281)
    outcome = write_export(tmp_path / "out", [*nameless, teaching])
    assert ["tabby", None, "tabby"] == [item.label for item in items(tmp_path / "out")]
    assert 1 == outcome.unnamed
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\ne\nf\n")
    outcome = write_export(tmp_path / "out", [*nameless, teaching], read_names(tmp_path / "labels.txt"))
    assert ["tabby", "f", "tabby"] == [item.label for item in items(tmp_path / "out")]
    assert 0 == outcome.unnamed


def cut_off() -> Iterator[ExportFeedbackResponse]:
    """Yields an answer and breaks."""
    yield answer(1)
    raise ConnectionError


def test_an_export_that_is_cut_off_leaves_nothing_to_take_for_whole(tmp_path: Path) -> None:
    """The folder is not there; what was written beside it holds no file that the importer reads."""
    with pytest.raises(ConnectionError):
        write_export(tmp_path / "out", cut_off())
    assert ["out.partial"] == [path.name for path in tmp_path.iterdir()]
    assert not (tmp_path / "out.partial" / "feedback.jsonl").exists()
    with pytest.raises(DataError):
        open_source(tmp_path / "out")


def test_an_export_that_is_cut_off_keeps_the_one_before(tmp_path: Path) -> None:
    """Who reads while another export runs, or after it broke, has the earlier one, whole."""
    write_export(tmp_path / "out", [answer(5)])
    with pytest.raises(ConnectionError):
        write_export(tmp_path / "out", cut_off())
    (item,) = items(tmp_path / "out")
    assert (Item, "feedback:p5") == (type(item), item.source)


def test_the_next_export_goes_on_from_what_is_there(tmp_path: Path) -> None:
    """Images that were written are used; those of answers that are gone since are not kept."""
    with pytest.raises(ConnectionError):
        write_export(tmp_path / "out", cut_off())
    kept = tmp_path / "out.partial" / "images" / image_id(picture(1))
    number = kept.stat().st_ino
    (kept.parent / f"{'0' * 64}.half").write_bytes(b"half")
    (kept.parent / ("1" * 64)).write_bytes(b"deleted since")
    write_export(tmp_path / "out", [answer(1), answer(2)])
    assert number == (tmp_path / "out" / "images" / kept.name).stat().st_ino
    assert {image_id(picture(1)), image_id(picture(2))} == {p.name for p in (tmp_path / "out" / "images").iterdir()}


def test_a_new_export_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    """What was forgotten since is not there any more."""
    write_export(tmp_path / "out", [answer(1), answer(2)])
    write_export(tmp_path / "out", [answer(2)])
    assert [image_id(picture(2))] == [path.name for path in (tmp_path / "out" / "images").iterdir()]
    assert ["out"] == [path.name for path in tmp_path.iterdir()]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """An export replaces exports, and nothing else."""
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"such as diary\.txt"):
        write_export(tmp_path, [answer(1)])
    assert "mine" == (tmp_path / "diary.txt").read_text()
    with pytest.raises(ExportError, match="is no folder"):
        write_export(tmp_path / "diary.txt", [answer(1)])
