"""Labelling by people: label files, the queue, and the version that labels make."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from datasources import image_folder
from hypothesis import given
from hypothesis import strategies as st

from modelkit.data.importing import Import, import_dataset
from modelkit.data.labelling.answers import Answer, decided, disputed, line_of, parse, read_answers
from modelkit.data.labelling.applying import apply_labels
from modelkit.data.labelling.journal import Journal
from modelkit.data.labelling.predictions import Guess
from modelkit.data.labelling.queue import Suspected, find_suspects, make_queue
from modelkit.data.records import DataError, Row, Split
from modelkit.data.store import Dataset

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HEADER = b"image,label,who,when\n"


def answer(image: int, label: str, who: str = "ann", minute: int = 0) -> Answer:
    """Returns what somebody said some minutes after noon."""
    return Answer(f"{image:064x}", label, who, NOON + timedelta(minutes=minute))


def pets(folder: Path) -> Dataset:
    """Imports three cats and two ants."""
    return import_dataset(folder / "root", Import("pets", image_folder(folder / "in", {"cat": 3, "ant": 2})))


def row(image: int, label: int = 0) -> Row:
    """Returns a row of a data set."""
    return Row(f"{image:064x}", label, Split.TRAIN, f"{image}.png")


@given(
    label=st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20),
    who=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20),
)
def test_a_line_says_what_was_said(label: str, who: str) -> None:
    """Whatever a label or a name holds, commas and quotes included, comes back."""
    said = answer(7, label, who)
    assert [said] == parse(HEADER + line_of(said), "x.csv")


@given(cut=st.integers(min_value=0))
def test_a_line_that_was_cut_off_says_nothing(cut: int) -> None:
    """Of a file that ends anywhere, the lines before the cut hold."""
    lines = [line_of(answer(1, "cat")), line_of(answer(2, "ant"))]
    first = len(HEADER) + len(lines[0])
    whole = HEADER + b"".join(lines)
    cut = first + cut % len(lines[1])
    assert answer(1, "cat") == parse(whole[:cut], "x.csv")[0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"id,label\n", r"line 1: the columns are 'id,label', not image,label,who,when"),
        (HEADER + b"abc,cat,ann,2026-05-01\n", "line 2: image 'abc' is no id: 64 hexadecimal digits"),
        (HEADER + b"0" * 64 + b",cat,ann,noon\n", "line 2: four fields are needed, the last one a time"),
        (HEADER + b"0" * 64 + b",cat\n", "line 2: four fields are needed"),
        (HEADER + b"0" * 64 + b",cat, ,2026-05-01\n", "1 to 100 printable characters"),
        (HEADER + b"0" * 64 + b',"cat,ann,2026-05-01\n', "line 2: four fields are needed"),
    ],
)
def test_a_wrong_line_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    """Nothing is guessed: the number of the line and what it needs are told."""
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match=told):
        read_answers(tmp_path / "x.csv")


def test_the_last_word_of_each_counts() -> None:
    """Who takes an answer back leaves the others' alone; between people the latest counts, whatever file it is in."""
    said = [
        answer(1, "cat", "ann", 0),
        answer(1, "ant", "bob", 1),
        answer(2, "ant", "bob", 5),
        answer(2, "cat", "ann", 3),
        answer(3, "cat", "ann", 0),
        answer(3, "", "ann", 1),
        answer(4, "cat", "ann", 0),
        answer(4, "ant", "bob", 1),
        answer(4, "", "bob", 2),
    ]
    assert {f"{1:064x}": "ant", f"{2:064x}": "ant", f"{4:064x}": "cat"} == decided(said)
    assert {f"{1:064x}", f"{2:064x}"} == disputed(said)


def test_suspects_and_unsure_images_take_turns() -> None:
    """The worst suspect first, then the least margin; each image once, and no more than asked for."""
    rows = [row(1), row(2, 1), row(3), row(4, -1)]
    guesses = {rows[at].id: Guess(margin, ((0, 0.6), (1, 0.4))) for at, margin in ((0, 0.5), (1, 0.1), (3, 0.3))}
    doubted = {rows[2].id: Suspected(1, 0.9), rows[1].id: Suspected(0, 0.8)}
    queue = make_queue(rows, ("ant", "cat"), guesses, doubted)
    assert [rows[2].id, rows[1].id, rows[3].id, rows[0].id] == [each.row.id for each in queue]
    assert ["suspected: believed to be cat (90%)", "unsure: margin 0.10"] == [each.why for each in queue[:2]]
    assert 2 == len(make_queue(rows, ("ant", "cat"), guesses, doubted, limit=2))


def test_without_a_model_those_without_label_are_asked_about() -> None:
    """In the order of the data set."""
    queue = make_queue([row(1, -1), row(2), row(3, -1)], ("ant", "cat"), None, {})
    assert [f"{1:064x}", f"{3:064x}"] == [each.row.id for each in queue]


def test_suspects_of_a_data_set_that_teaches_nothing_are_none(tmp_path: Path) -> None:
    """Too few images of a label to learn from it: nothing is suspected, and nothing fails."""
    assert {} == find_suspects(pets(tmp_path))


def test_labels_make_a_version(tmp_path: Path) -> None:
    """The new version has the same images in the same splits; the old one stays, byte for byte."""
    before = pets(tmp_path)
    rows = list(before.rows())
    kept = {path: path.read_bytes() for path in before.folder.iterdir()}
    done = apply_labels(before, {rows[0].id: "cat", rows[4].id: "cat", "f" * 64: "ant"})
    after = list(done.dataset.rows())
    assert (1, 1) == (done.changed, done.unknown)
    assert [(each.id, each.split) for each in rows] == [(each.id, each.split) for each in after]
    assert [1, 0, 1, 1, 1] == [each.label for each in after]
    assert (before.manifest.version, "label") == (done.dataset.manifest.made.parent, done.dataset.manifest.made.command)
    assert kept == {path: path.read_bytes() for path in before.folder.iterdir()}


def test_labels_that_change_nothing_make_no_version(tmp_path: Path) -> None:
    """What people confirmed is no new content."""
    before = pets(tmp_path)
    first = next(before.rows())
    assert before == apply_labels(before, {first.id: before.labels[first.label]}).dataset


@pytest.mark.parametrize(
    ("image", "label", "told"),
    [
        ("f" * 64, "cat", "none of the 1 labelled images is in"),
        ("0" * 64, "dog", "label 'dog' is none of the 2 labels"),
    ],
)
def test_labels_that_fit_nothing_are_refused(tmp_path: Path, image: str, label: str, told: str) -> None:
    """Labels of another data set, or names that it does not have."""
    with pytest.raises(DataError, match=told):
        apply_labels(pets(tmp_path), {image: label})


def test_a_session_goes_on_with_its_file(tmp_path: Path) -> None:
    """A line that a crash cut off goes, what was acknowledged stays, and answers follow."""
    path = tmp_path / "new/labels.csv"
    with Journal(path, "ann") as journal:
        journal.add("0" * 64, "cat")
    whole = path.read_bytes()
    path.write_bytes(whole + b"1" * 64 + b",ant,an")
    with Journal(path, "ann") as journal:
        assert {"0" * 64: "cat"} == decided(journal.answers)
        journal.add("2" * 64, "ant")
    assert {"0" * 64: "cat", "2" * 64: "ant"} == decided(read_answers(path))
    assert path.read_bytes().startswith(whole)


def test_two_sessions_do_not_share_a_file(tmp_path: Path) -> None:
    """The second one is told to take another."""
    path = tmp_path / "labels.csv"
    with Journal(path, "ann"), pytest.raises(DataError, match="another session writes this label file"):
        Journal(path, "bob")


def test_another_file_is_not_written_to(tmp_path: Path) -> None:
    """A file that is no label file stays as it is."""
    path = tmp_path / "thesis.txt"
    path.write_bytes(b"It was a dark night.\nAnd so on")
    with pytest.raises(DataError, match="line 1"):
        Journal(path, "ann")
    assert b"It was a dark night.\nAnd so on" == path.read_bytes()
