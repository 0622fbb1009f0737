"""What postprocessing must know of each model: labels and temperatures, as the model repository says now."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from servicekit.errors import unknown_model, unknown_version
from servicekit.manifest import Check, read_labels, read_repository
from servicekit.repository import Followed


@dataclass(frozen=True, slots=True)
class Calibration:
    """Is what one version of a model needs: its labels and its temperature."""

    labels: tuple[str, ...]
    temperature: float


class Calibrations:
    """Finds the calibration of a model's version."""

    def __init__(self, repository: Path, trusted_keys: Path | None = None) -> None:
        """Reads every manifest and label file.

        Args:
            repository: the model repository.
            trusted_keys: file with the keys of which one must have signed each manifest; without it all are trusted.

        Raises:
            ManifestError: one of them is missing or wrong.
        """
        self._followed = Followed(repository, _read, trusted_keys)
        self.running = self._followed.running

    def find(self, model: str, version: str) -> Calibration:
        """Returns the calibration; one that is not known is looked for on the disk, where it may have come just now.

        Raises:
            NotFound: the repository has no such model or version.
        """
        if version not in self._followed.now.get(model, ()):
            self._followed.refresh()
        by_version = self._followed.now.get(model)
        if by_version is None:
            raise unknown_model(model)
        if version not in by_version:
            raise unknown_version(model, version, by_version)
        return by_version[version]


def _read(repository: Path, check: Check | None) -> Mapping[str, Mapping[str, Calibration]]:
    by_model = {}
    for name, manifest in read_repository(repository, check).items():
        labels = read_labels(repository / name, manifest)
        by_model[name] = {
            version: Calibration(labels, entry.temperature) for version, entry in manifest.versions.items()
        }
    return by_model
