"""What postprocessing must know of each model: labels and temperatures, read once from the model repository."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from servicekit.errors import unknown_model, unknown_version
from servicekit.manifest import read_labels, read_repository


@dataclass(frozen=True, slots=True)
class Calibration:
    """Is what one version of a model needs: its labels and its temperature."""

    labels: tuple[str, ...]
    temperature: float


class Calibrations:
    """Finds the calibration of a model's version."""

    def __init__(self, by_model: Mapping[str, Mapping[str, Calibration]]) -> None:
        self._by_model = by_model

    @classmethod
    def read(cls, repository: Path) -> "Calibrations":
        """Reads every manifest and label file.

        Raises:
            ManifestError: one of them is missing or wrong.
        """
        by_model = {}
        for name, manifest in read_repository(repository).items():
            labels = read_labels(repository / name, manifest.output)
            by_model[name] = {
                version: Calibration(labels, entry.temperature) for version, entry in manifest.versions.items()
            }
        return cls(by_model)

    def find(self, model: str, version: str) -> Calibration:
        """Returns the calibration.

        Raises:
            NotFound: the repository has no such model or version.
        """
        if model not in self._by_model:
            raise unknown_model(model)
        if version not in self._by_model[model]:
            raise unknown_version(model, version, self._by_model[model])
        return self._by_model[model][version]
