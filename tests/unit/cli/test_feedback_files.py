"""Files of feedback: what is read, and which line is at fault."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from triptych import Feedback
from triptych.cli.feedback_files import FeedbackFileError, read_feedback


def written(folder: Path, name: str, text: str) -> Path:
    """Writes a file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_is_read(tmp_path: Path) -> None:
    """A heading names the columns; empty cells are missing ones, and a byte order mark does no harm."""
    text = "\ufeffprediction_id,label,label_index,source,time\np1,tabby,,,\np2,,281,annotator,2026-01-31T12:00:00Z\n"
    assert [
        Feedback("p1", "tabby", source="system"),
        Feedback("p2", label_index=281, source="annotator", time=datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ] == read_feedback(written(tmp_path, "a.csv", text), "system")


def test_json_lines_are_read(tmp_path: Path) -> None:
    """Each line is an object; empty lines are passed over."""
    text = '{"prediction_id": "p1", "label_index": 3, "feedback_id": "f"}\n\n{"prediction_id": "p2", "label": "ä"}\n'
    expected = [Feedback("p1", label_index=3, feedback_id="f"), Feedback("p2", "ä")]
    assert expected == read_feedback(written(tmp_path, "a.jsonl", text), "user")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "", r"neither \*.csv nor \*.jsonl"),
        ("a.csv", "prediction_id,colour\n", "it has colour"),
        ("a.csv", "label\ncat\n", "prediction_id is missing"),
        ("a.csv", "prediction_id,label\np1\n", r"a.csv:2: there are not as many fields"),
        ("a.csv", "prediction_id,label\np1,cat\np2,\n", r"a.csv:3: Give either label or label_index"),
        ("a.csv", "prediction_id,label_index\np1,many\n", r"a.csv:2: label_index must be a whole number"),
        ("a.csv", "prediction_id,label,source\np1,cat,king\n", r"source must be one of user, annotator, system"),
        ("a.csv", "prediction_id,label,time\np1,cat,soon\n", r"time must be like 2026-01-31T12:00:00Z"),
        ("a.jsonl", '{"prediction_id": 7, "label": "x"}', r"a.jsonl:1: prediction_id must be a text"),
        ("a.jsonl", "[]", r"a.jsonl:1: this is no object"),
        ("a.jsonl", "{", r"a.jsonl:1: this is no JSON"),
    ],
)
def test_faults_are_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    """The refusal names file, line and field."""
    with pytest.raises(FeedbackFileError, match=said):
        read_feedback(written(tmp_path, name, text), "user")


def test_other_encodings_are_told(tmp_path: Path) -> None:
    """A file that is no text is refused as such."""
    (tmp_path / "a.csv").write_bytes(b"prediction_id,label\np1,\xff\xfe\n")
    with pytest.raises(FeedbackFileError, match="no text in UTF-8"):
        read_feedback(tmp_path / "a.csv", "user")
