"""Probable label errors: labels that a model, trained on the other images, finds hard to believe.

cleanlab decides, by confident learning: it needs no threshold, and allows for classes that are often confused.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from modelkit.data.cache import NOTHING_KEPT, Arrays, Cache, address
from modelkit.data.features import Features
from modelkit.data.records import NO_LABEL, DataError, Track, untracked

FOLDS = 5
_COMPONENTS = 1000
_GAMMA = 12.8
"""Of the kernel, times the number of pixels. A closed form follows the kernel: no iterations to wait for."""
MAX_PROBABILITIES_BYTES = 8 * 2**30

Floats = npt.NDArray[np.float32]
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Beliefs:
    """Is what a model that did not see an image in training believes of it."""

    positions: npt.NDArray[np.intp]
    """Images judged, `[m]`."""
    probabilities: Floats
    """`[m, labels]`."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """Is an image whose label is probably wrong."""

    position: int
    believed: int
    """The label that the model believes in."""
    given_probability: float
    """Of the label that the image has."""
    believed_probability: float


def cross_validated(features: Features, seed: int, track: Track = untracked, cache: Cache = NOTHING_KEPT) -> Beliefs:
    """Trains a cheap model on the thumbnails, `FOLDS` times, and asks each about the images it was not shown.

    Labels with fewer images than folds are left out: nothing can be learned about them. What each fold's model
    believes goes into the cache.
    """
    from sklearn.model_selection import StratifiedKFold  # noqa: PLC0415 -- seconds to import

    labels = features.labels
    positions = _judged(features)
    known, given = np.unique(labels[positions], return_inverse=True)
    probabilities = np.zeros((len(positions), int(labels.max(initial=0)) + 1), np.float32)
    if len(known) < 2:
        return Beliefs(positions[:0], probabilities[:0])
    pixels = _pixels(features, positions)
    content = address("pixels", pixels, given)
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(pixels, given))
    for number, (train, held_out) in enumerate(track(folds, "judge labels", FOLDS)):
        place = address("beliefs", content, seed, FOLDS, number)
        found = cache.get(place, partial(_believed, pixels, given, train, held_out, seed))
        probabilities[np.ix_(held_out, known)] = found["probabilities"]
    return Beliefs(positions, probabilities)


def _believed(pixels: Floats, given: Positions, train: Positions, held_out: Positions, seed: int) -> Arrays:
    """Trains on some images and asks about others."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis  # noqa: PLC0415 -- seconds to import
    from sklearn.kernel_approximation import Nystroem  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415

    components = min(_COMPONENTS, len(train))
    kernel = Nystroem(gamma=_GAMMA / pixels.shape[1], n_components=components, random_state=seed)
    model = make_pipeline(kernel, LinearDiscriminantAnalysis(solver="lsqr", shrinkage=1e-4))
    model.fit(pixels[train], given[train])
    return {"probabilities": model.predict_proba(pixels[held_out]).astype(np.float32)}


def agreement(beliefs: Beliefs, labels: npt.NDArray[np.int64]) -> float | None:
    """Returns the share of images whose label is the one that a model believes in most; None where it judged none."""
    if not len(beliefs.positions):
        return None
    return float((beliefs.probabilities.argmax(axis=1) == labels[beliefs.positions]).mean())


def suspects(beliefs: Beliefs, labels: npt.NDArray[np.int64]) -> list[Suspect]:
    """Returns the images whose labels are probably wrong, the least believed first.

    Args:
        beliefs: of a model about images that it did not see in training.
        labels: of all images, `[n]`.
    """
    from cleanlab.filter import find_label_issues  # noqa: PLC0415 -- seconds to import, and only needed here

    given = labels[beliefs.positions]
    known, numbers = np.unique(given, return_inverse=True)
    if len(known) < 2:
        return []
    probabilities = beliefs.probabilities[:, known].astype(np.float64)
    probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), 1e-12)
    issues = find_label_issues(numbers, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    best = probabilities.argmax(axis=1)
    return [
        Suspect(
            position=int(beliefs.positions[index]),
            believed=int(known[best[index]]),
            given_probability=float(probabilities[index, numbers[index]]),
            believed_probability=float(probabilities[index, best[index]]),
        )
        for index in issues
    ]


def read_probabilities(file: Path, known: list[str], given: npt.NDArray[np.int64], labels: int) -> Beliefs:
    """Reads probabilities that a model gave: a NumPy file `.npz` with `ids` `[m]` and `probabilities` `[m, labels]`.

    The model must not have been trained on the images that it judges.

    Raises:
        DataError: the file is not such a file, or knows none of the images.
    """
    ids, probabilities = _load(file)
    if probabilities.ndim != 2 or probabilities.shape != (len(ids), labels):
        raise DataError(
            f"{file}: probabilities have the shape {probabilities.shape}; it must be ({len(ids)}, {labels})"
        )
    if not np.isfinite(probabilities).all() or (probabilities < 0).any() or (probabilities > 1).any():
        raise DataError(f"{file}: probabilities lie between 0 and 1")
    rows = {str(each): index for index, each in enumerate(ids)}
    found = [(position, rows[each]) for position, each in enumerate(known) if each in rows and given[position] >= 0]
    if not found:
        raise DataError(f"{file}: ids: none of the {len(ids)} is an image of this data set")
    positions, chosen = zip(*found, strict=True)
    return Beliefs(np.array(positions, np.intp), probabilities[list(chosen)].astype(np.float32))


def _load(file: Path) -> tuple[npt.NDArray[np.str_], Floats]:
    try:
        if file.stat().st_size > MAX_PROBABILITIES_BYTES:
            raise DataError(f"{file} is longer than {MAX_PROBABILITIES_BYTES} bytes, the limit")
        with np.load(file, allow_pickle=False) as opened:
            return opened["ids"].astype(np.str_), opened["probabilities"].astype(np.float32)
    except (OSError, ValueError, KeyError, EOFError, AttributeError) as error:
        raise DataError(f"{file} is no .npz file with ids and probabilities: {error}") from error


def _judged(features: Features) -> npt.NDArray[np.intp]:
    labels = features.labels
    readable = np.ones(len(labels), bool)
    readable[list(features.problems)] = False
    usable = readable & (labels != NO_LABEL)
    counts = np.bincount(labels[usable], minlength=1)
    enough = usable & (counts[np.maximum(labels, 0)] >= FOLDS) if usable.any() else usable
    return np.nonzero(enough)[0]


def _pixels(features: Features, positions: npt.NDArray[np.intp]) -> Floats:
    """Returns the thumbnails as rows; of grey pictures one channel says all."""
    thumbnails = features.thumbnails[positions]
    grey = bool((thumbnails == thumbnails[..., :1]).all())
    chosen = thumbnails[..., :1] if grey else thumbnails
    return chosen.reshape(len(positions), -1).astype(np.float32) / np.float32(255)
