import json
import shutil
from pathlib import Path

import pytest
from datasources import encoded, image_folder, picture, write_idx
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modelkit.data import shards, writing
from modelkit.data.importing import Import, import_dataset
from modelkit.data.records import DataError, Record, image_id
from modelkit.data.sources import SourceFormat
from modelkit.data.store import Dataset, names, open_dataset, versions


def imported(tmp_path: Path, counts: dict[str, int]) -> Dataset:
    """Imports a folder of so many pictures."""
    return import_dataset(tmp_path / "root", Import("pets", image_folder(tmp_path / "in", counts)))


def test_an_import_keeps_bytes_labels_and_origin(tmp_path: Path) -> None:
    """Each image is in the version as it was, under its sha256, with its label, split and source."""
    dataset = imported(tmp_path, {"train/cat": 1, "test/ant": 1})
    assert ("ant", "cat") == dataset.labels
    assert [Record(image_id(picture(0)), picture(0), 1, "train/cat/0000.png")] == list(dataset.records("train"))
    assert [Record(image_id(picture(1)), picture(1), 0, "test/ant/0000.png")] == list(dataset.records("test"))
    assert (1, 0, 1, 2) == (dataset.count("train"), dataset.count("val"), dataset.count("test"), dataset.count())


def test_the_version_is_what_it_holds(tmp_path: Path) -> None:
    """The same images from another place are the same version; another label makes another one."""
    first = imported(tmp_path / "a", {"cat": 2, "ant": 1})
    same = imported(tmp_path / "b", {"cat": 2, "ant": 1})
    other = imported(tmp_path / "c", {"cat": 2, "bee": 1})
    assert first.manifest.version == same.manifest.version
    assert first.manifest.version != other.manifest.version


def test_importing_twice_is_one_version(tmp_path: Path) -> None:
    """What is there already is found, not made again."""
    plan = Import("pets", image_folder(tmp_path / "in", {"cat": 2}))
    once = import_dataset(tmp_path / "root", plan)
    assert once == import_dataset(tmp_path / "root", plan)
    assert [once.manifest.version] == versions(tmp_path / "root", "pets")


def test_latest_is_the_version_made_last(tmp_path: Path) -> None:
    """`latest` follows the last step, also when it made a version that existed."""
    root = tmp_path / "root"
    small = Import("pets", image_folder(tmp_path / "a", {"cat": 1}))
    large = Import("pets", image_folder(tmp_path / "b", {"cat": 2}))
    one = import_dataset(root, small).manifest.version
    import_dataset(root, large)
    import_dataset(root, small)
    assert one == open_dataset(root, "pets").manifest.version
    assert 2 == open_dataset(root, "pets", import_dataset(root, large).manifest.version[:6]).count()


def test_what_is_no_image_is_counted(tmp_path: Path) -> None:
    """Files that serving would refuse by their header are refused, counted by reason, and told with their names."""
    folder = image_folder(tmp_path / "in", {"cat": 1})
    (folder / "cat/notes.txt").write_text("hello", encoding="utf-8")
    (folder / "cat/empty.png").touch()
    refused = import_dataset(tmp_path / "root", Import("pets", folder)).manifest.refused
    assert 2 == refused.count
    assert "cat/empty.png: The image is empty: it has 0 bytes." == refused.examples[0]


def test_a_source_without_any_image_is_refused(tmp_path: Path) -> None:
    """No version is made of nothing; the first reason is told."""
    (tmp_path / "in/cat").mkdir(parents=True)
    (tmp_path / "in/cat/x.png").write_text("no")
    with pytest.raises(DataError, match=r"no usable image; 1 refused, the first: cat/x\.png"):
        import_dataset(tmp_path / "root", Import("pets", tmp_path / "in"))
    assert [] == names(tmp_path / "root")


def test_names_for_numbers(tmp_path: Path) -> None:
    """With a file of names, the numbers of a source are indices into it."""
    (tmp_path / "names.txt").write_text("zebra\nant\nbee\n", encoding="utf-8")
    plan = Import("pets", write_idx(tmp_path / "in", 3), labels=tmp_path / "names.txt")
    dataset = import_dataset(tmp_path / "root", plan)
    assert ("zebra", "ant", "bee") == dataset.labels
    assert [0, 1, 2] == [record.label for record in dataset.records()]


def test_a_label_without_name_is_refused(tmp_path: Path) -> None:
    """An image whose label the given names lack is counted, not guessed."""
    (tmp_path / "names.txt").write_text("zebra\nant\n", encoding="utf-8")
    plan = Import("pets", write_idx(tmp_path / "in", 3), labels=tmp_path / "names.txt")
    dataset = import_dataset(tmp_path / "root", plan)
    assert 2 == dataset.count()
    assert ["train-images-idx3-ubyte.gz#2: label '2' is none of the 2 labels"] == dataset.manifest.refused.examples


def test_a_cut_off_import_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished shards of an import that died are kept, and the version is the one of an import without trouble."""
    monkeypatch.setattr(writing, "SHARD_ROWS", 4)
    folder = image_folder(tmp_path / "in", {"cat": 10, "ant": 9})
    (folder / "ant/bad.png").write_text("no")
    whole = import_dataset(tmp_path / "other", Import("pets", folder))
    written: list[str] = []

    def dies_at_the_third(path: Path, *arguments: object) -> None:
        written.append(path.name)
        if len(written) == 3:
            raise KeyboardInterrupt
        shards.write_shard(path, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(writing, "write_shard", dies_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            import_dataset(tmp_path / "root", Import("pets", folder))
    assert [] == names(tmp_path / "root")
    kept = next((tmp_path / "root/pets").glob(".unfinished-*/part-00000.parquet")).stat().st_mtime_ns
    resumed = import_dataset(tmp_path / "root", Import("pets", folder))
    assert kept == (resumed.folder / "part-00000.parquet").stat().st_mtime_ns
    assert whole.manifest.version == resumed.manifest.version
    assert whole.manifest.refused == resumed.manifest.refused
    assert list(whole.records()) == list(resumed.records())
    assert [] == list((tmp_path / "root/pets").glob(".unfinished-*"))


def test_a_changed_source_starts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of an import of other files are not taken over."""
    folder = image_folder(tmp_path / "in", {"cat": 3})
    stale = tmp_path / "root/pets/.unfinished-0123456789abcdef"
    stale.mkdir(parents=True)
    (stale / "part-00000.parquet").write_bytes(b"old")
    assert 3 == import_dataset(tmp_path / "root", Import("pets", folder)).count()
    assert not stale.exists()


def test_damage_is_told_with_the_file(tmp_path: Path) -> None:
    """A shard that was cut off later is named; nothing crashes below it."""
    dataset = imported(tmp_path, {"cat": 3})
    shard = dataset.folder / dataset.manifest.shards[0]
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"part-00000\.parquet is damaged or missing"):
        list(dataset.records())


@pytest.mark.parametrize("name", ["", "..", ".x", "a/b", "a b", "ä", "x" * 65])
def test_names_are_plain(tmp_path: Path, name: str) -> None:
    """A data set's name cannot lead out of the root."""
    with pytest.raises(DataError, match="up to 64 letters"):
        import_dataset(tmp_path / "root", Import(name, image_folder(tmp_path / "in", {"cat": 1})))


def test_errors_name_what_there_is(tmp_path: Path) -> None:
    """A data set, version or split that does not exist is answered with those that do."""
    dataset = imported(tmp_path, {"cat": 1})
    with pytest.raises(DataError, match="has no data set 'dogs'; it has pets"):
        open_dataset(tmp_path / "root", "dogs")
    with pytest.raises(DataError, match="0 versions of pets start with 'zzz'"):
        open_dataset(tmp_path / "root", "pets", "zzz")
    with pytest.raises(DataError, match="there is no split 'valid'; there are train, val, test"):
        list(dataset.records("valid"))


def test_a_wrong_manifest_names_the_field(tmp_path: Path) -> None:
    """A manifest edited by hand is refused with the field at fault."""
    dataset = imported(tmp_path, {"cat": 1})
    manifest = json.loads((dataset.folder / "manifest.json").read_text())
    (dataset.folder / "manifest.json").write_text(json.dumps({**manifest, "counts": 3}))
    with pytest.raises(DataError, match=r"manifest\.json: field counts: "):
        open_dataset(tmp_path / "root", "pets", dataset.manifest.version)


FILES = {
    SourceFormat.IDX: "train-images-idx3-ubyte",
    SourceFormat.PARQUET: "x.parquet",
    SourceFormat.WEBDATASET: "x.tar",
    SourceFormat.CSV: "x.csv",
    SourceFormat.FEEDBACK: "x.jsonl",
    SourceFormat.FOLDERS: "cat/x.png",
}


@pytest.mark.parametrize("form", SourceFormat)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_no_file_crashes_an_import(
    tmp_path_factory: pytest.TempPathFactory, form: SourceFormat, data: st.DataObject
) -> None:
    """Whatever a file holds, an import makes a version or says what is wrong with it."""
    folder = tmp_path_factory.mktemp("in")
    start = data.draw(
        st.sampled_from([b"", bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]), b"path,label\n", b"PAR1"])
    )
    _place(folder / FILES[form], start + data.draw(st.binary(max_size=700)))
    _import_or_refuse(folder, form)


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from(SourceFormat),
    at=st.floats(0, 1, exclude_max=True),
    byte=st.integers(0, 255),
    cut=st.booleans(),
)
def test_no_damage_crashes_an_import(
    tmp_path_factory: pytest.TempPathFactory, form: SourceFormat, at: float, byte: int, *, cut: bool
) -> None:
    """A good file with one byte changed, or cut off anywhere, makes a version or an error that says what is wrong."""
    folder = tmp_path_factory.mktemp("in")
    good = _good(folder / "good", form)
    position = int(at * len(good))
    damaged = good[:position] if cut else good[:position] + bytes([byte]) + good[position + 1 :]
    _place(folder / "in" / FILES[form], damaged)
    _import_or_refuse(folder / "in", form)


def _place(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _import_or_refuse(folder: Path, form: SourceFormat) -> None:
    root = folder.parent / f"root-{folder.name}"
    try:
        dataset = import_dataset(root, Import("x", folder, form))
        assert dataset.count() == sum(image_id(record.image) == record.id for record in dataset.records())
    except DataError:
        assert not names(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _good(folder: Path, form: SourceFormat) -> bytes:
    """Returns a small good file of a format."""
    import io
    import tarfile

    import pyarrow as pa
    import pyarrow.parquet as pq

    image = encoded(Image.new("RGB", (9, 9), "red"), "JPEG")
    if form is SourceFormat.IDX:
        return (write_idx(folder, 3, zipped=False) / "train-images-idx3-ubyte").read_bytes()
    if form is SourceFormat.CSV:
        return b"path,label\nx.csv,cat\nnone.png,\n"
    if form is SourceFormat.FEEDBACK:
        return b'{"prediction_id": "p", "image": "x.jsonl", "label": "cat", "label_prob": 0.5}\n' * 2
    if form is SourceFormat.FOLDERS:
        return image
    stream = io.BytesIO()
    if form is SourceFormat.PARQUET:
        pq.write_table(pa.table({"image": [{"bytes": image}] * 3, "label": [0, 1, 0]}), stream)
    else:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, content in (("1.jpg", image), ("1.cls", b"1"), ("2.json", b'{"label": 3}'), ("2.jpg", image)):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()
