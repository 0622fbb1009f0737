"""The model repository's contract."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from fakes.repository import LABELS, manifest, write_model

from servicekit.manifest import ManifestError, read_labels, read_manifest, read_repository

COMMITTED = Path(__file__).parents[3] / "triton_models"


def test_the_committed_repository_is_valid() -> None:
    """Every model that comes with Triptych has a manifest and a label per class."""
    for name, committed in read_repository(COMMITTED).items():
        assert committed.output.classes == len(read_labels(COMMITTED / name, committed))


def test_a_manifest_is_read(tmp_path: Path) -> None:
    """What is written comes back, typed."""
    got = read_manifest(write_model(tmp_path, manifest(temperatures={"1": 1.5})))

    assert ("tiny", 4, 1.5) == (got.name, got.input.width, got.versions["1"].temperature)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("schema_version", {"schema_version": 2}),
        ("name", {"name": "../up"}),
        ("versions", {"versions": {}}),
        ("default_version '2' is none of the versions", {"default_version": "2"}),
        ("colour", {"colour": "RGB"}),
        ("classes", {"output": {"classes": 1}}),
        ("crop", {"input": {"width": 4, "height": 2, "crop": 0}}),
        ("interpolation", {"input": {"width": 4, "height": 2, "crop": 1, "interpolation": "guess"}}),
    ],
)
def test_a_wrong_manifest_is_named(tmp_path: Path, words: str, change: dict[str, Any]) -> None:
    """The error has the file and the field."""
    folder = write_model(tmp_path, {**manifest(), **change, "name": "tiny"})
    if "name" in change:
        (folder / "manifest.json").write_text((folder / "manifest.json").read_text().replace("tiny", "../up"))

    with pytest.raises(ManifestError, match=rf"(?s)manifest\.json.*{words}"):
        read_manifest(folder)


@pytest.mark.parametrize("default", [None, "2"])
def test_a_default_version_is_optional(tmp_path: Path, default: str | None) -> None:
    """A manifest may name the version that answers when none is asked for."""
    described = {**manifest(temperatures={"1": 1, "2": 1, "3": 1}), "default_version": default}

    assert default == read_manifest(write_model(tmp_path, described)).default_version


def test_a_manifest_without_the_field_has_no_default(tmp_path: Path) -> None:
    """Manifests that were published before the field existed still read."""
    assert read_manifest(write_model(tmp_path, manifest())).default_version is None


def test_a_manifest_stands_in_its_own_folder(tmp_path: Path) -> None:
    """A manifest that names another model than its folder is refused."""
    folder = write_model(tmp_path, manifest()).rename(tmp_path / "other")

    with pytest.raises(ManifestError, match=r"names the model 'tiny'.*'other'"):
        read_manifest(folder)


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_an_empty_repository_is_an_error(tmp_path: Path, folder: str) -> None:
    """A process without a model does not start."""
    with pytest.raises(ManifestError, match="holds no model"):
        read_repository(tmp_path / folder)


def test_a_missing_manifest_is_an_error(tmp_path: Path) -> None:
    """A folder without manifest is no model."""
    with pytest.raises(ManifestError, match="is missing"):
        read_manifest(tmp_path)


def test_missing_labels_are_an_error(tmp_path: Path) -> None:
    """A model without its label file cannot answer."""
    folder = write_model(tmp_path, manifest())
    (folder / "labels.txt").unlink()

    with pytest.raises(ManifestError, match=r"labels\.txt is missing"):
        read_labels(folder, read_manifest(folder))


def test_other_labels_than_the_published_ones_are_an_error(tmp_path: Path) -> None:
    """Where the manifest has the file's sha256, that decides; where it has none, any labels that fit will do."""
    data = ("\n".join(LABELS) + "\n").encode()
    folder = write_model(tmp_path, {**manifest(), "files": {"labels.txt": hashlib.sha256(data).hexdigest()}})
    assert LABELS == read_labels(folder, read_manifest(folder))
    (folder / "labels.txt").write_bytes(data.replace(b"cat", b"dog"))

    with pytest.raises(ManifestError, match=r"labels\.txt is not the file that was published"):
        read_labels(folder, read_manifest(folder))
