import io
import re
from pathlib import Path

import numpy as np
import pytest
from datasources import encoded, image_folder, picture
from PIL import Image

from modelkit.data.cleaning import Look, drop, inspect, write_report
from modelkit.data.findings import Finding, Kind
from modelkit.data.importing import Import, import_dataset
from modelkit.data.label_errors import Beliefs, read_probabilities, suspects
from modelkit.data.records import DataError, image_id
from modelkit.data.splitting import Shares, split
from modelkit.data.store import Dataset

LOOK = Look(label_errors=False)


def flawed(tmp_path: Path) -> Dataset:
    """Imports a data set with one flaw of each kind."""
    folder = image_folder(tmp_path / "in", {"train/cat": 6, "train/ant": 6, "test/cat": 1}, first=50)
    again = encoded(Image.open(io.BytesIO(picture(50))).convert("RGB"), "JPEG", quality=95, subsampling=0)
    for name, content in {
        "train/cat/same.png": picture(51),
        "test/cat/leak.png": picture(52),
        "train/ant/conflict.png": picture(53),
        "train/cat/near.jpg": again,
        "train/cat/cut.png": _damaged(picture(90)),
        "train/ant/long.png": encoded(Image.new("RGB", (400, 20), "red")),
    }.items():
        (folder / name).write_bytes(content)
    return import_dataset(tmp_path / "root", Import("pets", folder))


def _damaged(png: bytes) -> bytes:
    """Breaks the pixels and leaves the header alone."""
    at = png.index(b"IDAT") + 8
    return png[:at] + bytes(16) + png[at + 16 :]


def sources(dataset: Dataset, finding: Finding) -> list[str]:
    """Returns where the images of a finding came from."""
    rows = list(dataset.rows())
    return [rows[at].source for at in finding.images]


def test_each_flaw_is_found(tmp_path: Path) -> None:
    """Every kind of flaw is found once, at the right images."""
    dataset = flawed(tmp_path)
    findings = inspect(dataset, LOOK).findings
    found = {finding.kind: sources(dataset, finding) for finding in findings}
    assert {
        Kind.UNREADABLE: ["train/cat/cut.png"],
        Kind.DUPLICATES: ["train/cat/0001.png", "train/cat/same.png"],
        Kind.LEAKS: ["test/cat/leak.png", "train/cat/0002.png"],
        Kind.CONFLICTS: ["train/ant/conflict.png", "train/cat/0003.png"],
        Kind.NEAR_DUPLICATES: ["train/cat/0000.png", "train/cat/near.jpg"],
        Kind.ODD: ["train/ant/long.png"],
    } == found
    assert len(found) == len(findings)


def test_only_what_was_chosen_is_dropped(tmp_path: Path) -> None:
    """A leak costs the training split its image, never the test split; what was not chosen stays."""
    dataset = flawed(tmp_path)
    findings = inspect(dataset, LOOK).findings
    cleaned = drop(dataset, LOOK, findings, [Kind.LEAKS, Kind.UNREADABLE])
    before, after = ({row.source for row in each.rows()} for each in (dataset, cleaned))
    assert {"train/cat/0002.png", "train/cat/cut.png"} == before - after
    assert dataset.manifest.version == cleaned.manifest.made.parent
    assert dataset.count() == sum(1 for _ in dataset.records())


def test_the_report_needs_no_other_file(tmp_path: Path) -> None:
    """The report holds its pictures, and is the same each time."""
    dataset = flawed(tmp_path)
    found = inspect(dataset, LOOK)
    for name in ("one.html", "two.html"):
        write_report(tmp_path / name, dataset, found)
    text = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert text == (tmp_path / "two.html").read_text(encoding="utf-8")
    assert all(f'id="{kind}"' in text for kind in {finding.kind for finding in found.findings})
    assert "data:image/png;base64," in text
    assert "http" not in text


def test_wrong_labels_are_suspected() -> None:
    """A label that the model gives next to nothing is told, with what it believes in instead."""
    labels = np.array([0, 1] * 30)
    probabilities = np.where(np.arange(2) == labels[:, None], 0.9, 0.1).astype(np.float32)
    probabilities[7] = probabilities[7][::-1]
    found = suspects(Beliefs(np.arange(60), probabilities), labels)
    assert [(7, 0)] == [(each.position, each.believed) for each in found]


def test_label_errors_are_found_by_the_cheap_model(tmp_path: Path) -> None:
    """Among dark and bright pictures, the one in the wrong folder is told."""
    for index in range(24):
        for name, level in (("dark", 30), ("bright", 220)):
            wrong = name == "dark" and index == 5
            pixels = np.random.default_rng(index).normal(220 if wrong else level, 9, (20, 20)).clip(0, 255)
            file = tmp_path / "in" / name / f"{index:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encoded(Image.fromarray(pixels.astype(np.uint8))))
    dataset = import_dataset(tmp_path / "root", Import("light", tmp_path / "in"))
    found = inspect(dataset, Look(near=None))
    findings = found.findings
    assert re.fullmatch(r"label errors are what a model believes that agrees with 9\d% of the labels", found.doubt())
    assert ["dark/05.png"] in [sources(dataset, each) for each in findings if each.kind is Kind.LABEL_ERRORS]


def test_wrong_probabilities_are_refused(tmp_path: Path) -> None:
    """A file of the wrong shape says which shape it must have."""
    np.savez(tmp_path / "p.npz", ids=np.array([image_id(b"x")]), probabilities=np.zeros((1, 3)))
    with pytest.raises(DataError, match=r"the shape \(1, 3\); it must be \(1, 2\)"):
        read_probabilities(tmp_path / "p.npz", [image_id(b"x")], np.zeros(1, np.int64), 2)


def test_fractions_never_move_an_image(tmp_path: Path) -> None:
    """Images that are added change the split of none that was there."""
    one = import_dataset(tmp_path / "root", Import("a", image_folder(tmp_path / "a", {"cat": 40, "ant": 40})))
    counts = {"cat": 40, "ant": 40, "more": 20}
    two = import_dataset(tmp_path / "root", Import("b", image_folder(tmp_path / "b", counts)))
    before, after = ({row.id: row.split for row in split(each, Shares(0.3)).rows()} for each in (one, two))
    assert before == {each: after[each] for each in before}
    assert 0 < sum(place == "val" for place in before.values()) < 80


def test_counts_are_met_in_each_label(tmp_path: Path) -> None:
    """A count is met exactly, each label gives its part, and the test images stay."""
    folder = image_folder(tmp_path / "in", {"train/cat": 40, "train/ant": 20, "test/cat": 5})
    dataset = split(import_dataset(tmp_path / "root", Import("pets", folder)), Shares(12))
    assert {"cat": 8, "ant": 4} == dataset.manifest.counts["val"]
    assert {"cat": 5} == dataset.manifest.counts["test"]


def test_near_duplicates_stay_together(tmp_path: Path) -> None:
    """A picture and its copies, encoded again, are in one split with any seed."""
    folder = image_folder(tmp_path / "in", {"cat": 8})
    for index in range(8):
        again = encoded(Image.open(io.BytesIO(picture(index))), "JPEG", quality=95, subsampling=0)
        (folder / f"cat/{index:04}-copy.jpg").write_bytes(again)
    dataset = import_dataset(tmp_path / "root", Import("pets", folder))
    for seed in range(5):
        places = {row.source: row.split for row in split(dataset, Shares(0.5, seed=seed)).rows()}
        assert [places[f"cat/{i:04}.png"] for i in range(8)] == [places[f"cat/{i:04}-copy.jpg"] for i in range(8)]


def test_an_existing_test_split_is_not_made_again(tmp_path: Path) -> None:
    """Asking for another test split is refused: what judged before must stay comparable."""
    dataset = import_dataset(tmp_path / "root", Import("a", image_folder(tmp_path / "a", {"test/x": 2, "train/x": 4})))
    with pytest.raises(DataError, match="has 2 test images already: leave out --test"):
        split(dataset, Shares(0.2, 0.2))


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        (Shares(1.5), "--val 1.5: a fraction below 1, or a whole number of images"),
        (Shares(1, 2.5), "--test 2.5: a fraction below 1, or a whole number of images"),
        (Shares(500), "--val 500 and --test 0 take 500 of 4 images"),
    ],
)
def test_shares_that_cannot_be_met_are_refused(tmp_path: Path, shares: Shares, told: str) -> None:
    """The sentence has the option and its number as it was said."""
    dataset = import_dataset(tmp_path / "root", Import("a", image_folder(tmp_path / "a", {"x": 4})))
    with pytest.raises(DataError, match=re.escape(told)):
        split(dataset, shares)
