"""Labels and temperatures, read from the model repository."""

from pathlib import Path

import pytest
from fakes.repository import LABELS, manifest, write_model

from servicekit.errors import NotFound, Reason
from servicekit.manifest import ManifestError
from services.postprocess.labels import Calibration, Calibrations


def test_every_version_has_its_temperature(tmp_path: Path) -> None:
    """Labels belong to the model, temperatures to its versions."""
    write_model(tmp_path, manifest(temperatures={"1": 1.0, "2": 1.7}))

    assert Calibration(LABELS, 1.7) == Calibrations(tmp_path).find("tiny", "2")


@pytest.mark.parametrize(
    ("reason", "field", "model", "version"),
    [
        (Reason.MODEL_NOT_FOUND, "model", "huge", "1"),
        (Reason.MODEL_NOT_FOUND, "model", "", "1"),
        (Reason.MODEL_VERSION_NOT_FOUND, "version", "tiny", "3"),
        (Reason.MODEL_VERSION_NOT_FOUND, "version", "tiny", ""),
    ],
)
def test_what_is_unknown_is_not_found(tmp_path: Path, reason: Reason, field: str, model: str, version: str) -> None:
    """The error names the field at fault."""
    write_model(tmp_path, manifest())

    with pytest.raises(NotFound) as caught:
        Calibrations(tmp_path).find(model, version)

    assert (reason, field) == (caught.value.reason, caught.value.field)


@pytest.mark.parametrize("text", ["ant\nbee\n", "ant\nbee\n\ndog\neel\n", ""])
def test_labels_must_fit_the_classes(tmp_path: Path, text: str) -> None:
    """One label per class, none empty, or the process does not start."""
    (write_model(tmp_path, manifest()) / "labels.txt").write_text(text)

    with pytest.raises(ManifestError, match=r"labels\.txt"):
        Calibrations(tmp_path)
