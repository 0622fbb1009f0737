import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasources import image_folder, json_lines, picture, write_idx
from PIL import Image

from modelkit.data.png import encode_png
from modelkit.data.records import Broken, DataError, Item, Split, image_id
from modelkit.data.sources import SourceFormat, detect, open_source


def read(path: Path) -> tuple[list[Item], list[Broken]]:
    """Returns what a source yields: images, and what is none."""
    items = list(open_source(path).items())
    return [i for i in items if isinstance(i, Item)], [i for i in items if isinstance(i, Broken)]


def test_folders_are_labels(tmp_path: Path) -> None:
    """A folder of folders: their names are the labels, sorted; without a split."""
    image_folder(tmp_path / "in", {"cat": 2, "ant": 1})
    items, broken = read(tmp_path / "in")
    assert ("ant", "cat") == open_source(tmp_path / "in").labels
    assert [("ant", None), ("cat", None), ("cat", None)] == [(i.label, i.split) for i in items]
    assert [] == broken


def test_folders_of_splits(tmp_path: Path) -> None:
    """Folders that all have names of splits are splits, also by their other names."""
    image_folder(tmp_path / "in", {"training/cat": 1, "validation/cat": 1, "test/ant": 1})
    items, _ = read(tmp_path / "in")
    assert [("ant", Split.TEST), ("cat", Split.TRAIN), ("cat", Split.VAL)] == [(i.label, i.split) for i in items]


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """A link that leads elsewhere is not followed: its content is no part of the data set."""
    image_folder(tmp_path / "in", {"cat": 1})
    (tmp_path / "secret.png").write_bytes(picture(9))
    (tmp_path / "in/cat/link.png").symlink_to(tmp_path / "secret.png")
    items, broken = read(tmp_path / "in")
    assert 1 == len(items)
    assert [Broken("cat/link.png", "the link leads out of the folder")] == broken


@pytest.mark.parametrize("zipped", [True, False])
def test_idx(tmp_path: Path, *, zipped: bool) -> None:
    """IDX pictures arrive with every pixel as it was, and the split that the file's name says."""
    write_idx(tmp_path, 4, zipped=zipped)
    write_idx(tmp_path, 2, "t10k", zipped=zipped)
    items, broken = read(tmp_path)
    pixels = np.random.default_rng(4).integers(0, 256, (4, 6, 5), dtype=np.uint8)
    train = [i for i in items if i.split is Split.TRAIN]
    assert pixels.tolist() == [np.asarray(Image.open(io.BytesIO(i.image))).tolist() for i in train]
    assert ["0", "1", "2", "0"] == [i.label for i in train]
    assert 2 == sum(i.split is Split.TEST for i in items)
    assert [] == broken


def test_idx_that_ends_early_keeps_what_it_has(tmp_path: Path) -> None:
    """Of a file that was cut off, the whole pictures are used; the rest is told."""
    write_idx(tmp_path, 3, zipped=False)
    images = tmp_path / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-7])
    items, broken = read(tmp_path)
    assert 2 == len(items)
    assert ["the file ends, or is damaged, in image 2 of 3"] == [b.reason for b in broken]


def test_idx_with_a_giant_header_is_refused(tmp_path: Path) -> None:
    """A header that promises more than the limit is refused before memory is taken, with the limit."""
    (tmp_path / "train-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 1] + [255] * 8))
    with pytest.raises(DataError, match="one image has 1 to 16711680 bytes"):
        open_source(tmp_path)


def test_png_is_the_same_everywhere() -> None:
    """Raw pixels always become the same bytes: ids do not depend on a library's version."""
    pixels = np.arange(70_000, dtype=np.uint32).astype(np.uint8).reshape(200, 350)
    assert "3f6c0aa8" == image_id(encode_png(pixels))[:8]
    assert pixels.tolist() == np.asarray(Image.open(io.BytesIO(encode_png(pixels)))).tolist()


def test_colour_png() -> None:
    """Three channels become RGB."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    assert pixels.tolist() == np.asarray(Image.open(io.BytesIO(encode_png(pixels)))).tolist()


def _parquet(path: Path, labels: list[int], names: list[str] | None) -> None:
    images = [{"bytes": picture(index), "path": f"{index}.png"} for index in range(len(labels))]
    table = pa.table({"image": images, "label": pa.array(labels, pa.int64())})
    features = {"label": {"_type": "ClassLabel", "names": names}}
    notes = {b"huggingface": json.dumps({"info": {"features": features}}).encode()} if names else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(notes), path)


def test_parquet(tmp_path: Path) -> None:
    """The layout of Hugging Face: names from ClassLabel, the split from the file's name."""
    _parquet(tmp_path / "data/train-00000-of-00001.parquet", [1, 0], ["ant", "cat"])
    _parquet(tmp_path / "data/validation-00000-of-00001.parquet", [0], ["ant", "cat"])
    items, broken = read(tmp_path)
    assert ("ant", "cat") == open_source(tmp_path).labels
    assert [("cat", "train"), ("ant", "train"), ("ant", "val")] == [(i.label, i.split) for i in items]
    assert picture(0) == items[0].image
    assert [] == broken


def test_parquet_without_names(tmp_path: Path) -> None:
    """Numbers without names are their own names, in the order of numbers."""
    _parquet(tmp_path / "x.parquet", [10, 9], None)
    assert ("9", "10") == open_source(tmp_path / "x.parquet").labels


def test_a_damaged_parquet_file_beside_a_good_one(tmp_path: Path) -> None:
    """A file that cannot be read is told, and the others are read."""
    _parquet(tmp_path / "train-0.parquet", [0], ["ant"])
    (tmp_path / "train-1.parquet").write_bytes(b"PAR1 nothing PAR1")
    items, broken = read(tmp_path)
    assert 1 == len(items)
    assert ["train-1.parquet"] == [b.source for b in broken]


def _tar(path: Path, members: list[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("name", ["train-000.tar", "train-000.tar.gz"])
def test_webdataset(tmp_path: Path, name: str) -> None:
    """A sample is the files of one name; its label comes from .cls or .json."""
    members = [("a/1.png", picture(1)), ("a/1.cls", b"7\n"), ("a/2.json", b'{"label": "cat"}'), ("a/2.png", picture(2))]
    _tar(tmp_path / name, members)
    items, broken = read(tmp_path)
    assert [("7", "train", picture(1)), ("cat", "train", picture(2))] == [(i.label, i.split, i.image) for i in items]
    assert [] == broken


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "a/../../x.png"])
def test_a_tar_member_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    """A member whose name leaves the archive is refused, and its neighbours are read."""
    _tar(tmp_path / "t.tar", [(name, picture(1)), ("ok.png", picture(2))])
    items, broken = read(tmp_path / "t.tar")
    assert [picture(2)] == [i.image for i in items]
    assert [Broken(f"t.tar#{name}", "the name leads out of the archive")] == broken


def test_a_link_in_a_tar_is_refused(tmp_path: Path) -> None:
    """Links and devices in an archive are no images."""
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        link = tarfile.TarInfo("a.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert ([], ["a link or a device, no file"]) == (
        read(tmp_path / "t.tar")[0],
        [b.reason for b in read(tmp_path / "t.tar")[1]],
    )


def test_a_tar_that_is_cut_off(tmp_path: Path) -> None:
    """What comes before the damage is used."""
    _tar(tmp_path / "t.tar", [(f"{index}.png", picture(index)) for index in range(4)])
    content = (tmp_path / "t.tar").read_bytes()
    (tmp_path / "t.tar").write_bytes(content[: len(content) // 4])
    items, broken = read(tmp_path / "t.tar")
    assert picture(0) == items[0].image
    assert "the archive is damaged" in broken[-1].reason


def test_a_giant_header_in_a_tar_is_refused(tmp_path: Path) -> None:
    """A long-name header of gigabytes is refused before it is read."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2**33
    (tmp_path / "t.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    _, broken = read(tmp_path / "t.tar")
    assert ["the archive is damaged: an extended header has 8589934592 bytes; the limit is 1048576"] == [
        b.reason for b in broken
    ]


def test_csv(tmp_path: Path) -> None:
    """Paths count from the file's folder; an empty label is none; a split column is obeyed."""
    image_folder(tmp_path, {"images": 3})
    rows = "path,label,split\nimages/0000.png,cat,test\nimages/0001.png,,\nimages/0002.png,ant,valid\n"
    (tmp_path / "labels.csv").write_text(rows, encoding="utf-8")
    items, broken = read(tmp_path)
    assert [("cat", "test"), (None, None), ("ant", "val")] == [(i.label, i.split) for i in items]
    assert ("ant", "cat") == open_source(tmp_path).labels
    assert [] == broken


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("../secret.png,cat", "the path leads out of the folder"),
        ("/etc/passwd,cat", "the path leads out of the folder"),
        ("none.png,cat", "the file cannot be read: No such file or directory"),
        ("a,b,c,d", "the line has 4 fields, the header has 2"),
        ("x\0y.png,cat", "the path leads out of the folder"),
    ],
)
def test_a_bad_line_of_a_csv(tmp_path: Path, line: str, reason: str) -> None:
    """A line that is of no use says why; the others are used."""
    image_folder(tmp_path / "in", {"images": 1})
    (tmp_path / "secret.png").write_bytes(picture(5))
    (tmp_path / "in/labels.csv").write_text(f"path,label\n{line}\nimages/0000.png,cat\n", encoding="utf-8")
    items, broken = read(tmp_path / "in")
    assert 1 == len(items)
    assert [reason] == [b.reason for b in broken]


def test_a_csv_without_labels_is_refused(tmp_path: Path) -> None:
    """A missing column is named together with those that are there."""
    (tmp_path / "x.csv").write_text("path,what\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column label; the first line has path, what"):
        open_source(tmp_path / "x.csv")


def test_feedback(tmp_path: Path) -> None:
    """Lines name images by path or by sha256; what users said is the label."""
    image_folder(tmp_path, {"images": 1})
    (tmp_path / "images" / image_id(picture(7))).write_bytes(picture(7))
    rows: list[dict[str, object]] = [
        {"prediction_id": "p1", "image": "images/0000.png", "label": "cat", "predicted": "ant", "label_prob": 0.4},
        {"prediction_id": "p2", "image_sha256": image_id(picture(7)), "label": None},
        {"prediction_id": "p3", "image": "images/0000.png", "image_sha256": "0" * 64, "label": "cat"},
        {"prediction_id": "p4", "image": "../x.png", "label": "cat"},
        {"prediction_id": "p5", "label": "cat"},
        {"prediction_id": "p6", "image": "images/0000.png", "label_prob": 7},
    ]
    file = json_lines(tmp_path / "feedback.jsonl", rows)
    with file.open("a") as stream:
        stream.write("no json\n")
    items, broken = read(tmp_path)
    assert [("cat", "feedback:p1"), (None, "feedback:p2")] == [(i.label, i.source) for i in items]
    assert [
        "field image_sha256: the image has another sha256",
        "field image: the path leads out of the folder",
        "the line names neither image nor image_sha256",
        "field label_prob: Input should be less than or equal to 1",
    ] == [b.reason for b in broken[:4]]
    assert "feedback.jsonl:7" == broken[4].source


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.parquet", SourceFormat.PARQUET),
        ("a.tar", SourceFormat.WEBDATASET),
        ("a.tar.gz", SourceFormat.WEBDATASET),
        ("a.csv", SourceFormat.CSV),
        ("a.jsonl", SourceFormat.FEEDBACK),
        ("train-images-idx3-ubyte.gz", SourceFormat.IDX),
    ],
)
def test_formats_are_found_by_name(tmp_path: Path, name: str, form: SourceFormat) -> None:
    """A file's name says its format, also inside a folder."""
    (tmp_path / name).touch()
    assert form == detect(tmp_path / name)
    assert form == detect(tmp_path)


def test_an_unknown_name_asks_for_the_format(tmp_path: Path) -> None:
    """A name that says nothing is answered with the formats there are."""
    (tmp_path / "x.bin").touch()
    with pytest.raises(DataError, match="say --format: folders, idx, parquet, webdataset, csv, feedback"):
        open_source(tmp_path / "x.bin")


def test_an_image_over_the_limit_is_not_read(tmp_path: Path) -> None:
    """A file larger than what serving takes is refused by its size alone."""
    image_folder(tmp_path / "in", {"cat": 1})
    with (tmp_path / "in/cat/big.png").open("wb") as file:
        os.truncate(file.fileno(), 16 * 2**20 + 1)
    assert ["the file has 16777217 bytes; the limit is 16777216"] == [b.reason for b in read(tmp_path / "in")[1]]
