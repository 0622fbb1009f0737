"""Which images a person should look at, and in which order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest

from modelkit.data.cache import NOTHING_KEPT, Cache
from modelkit.data.features import extract
from modelkit.data.label_errors import cross_validated, suspects
from modelkit.data.labelling.predictions import Guess
from modelkit.data.records import NO_LABEL, Row, Track, untracked
from modelkit.data.store import Dataset

LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Suspected:
    """Is an image whose label `data clean` doubts."""

    believed: int
    """The label that its model believes in."""
    probability: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """Is an image that waits for a person."""

    row: Row
    why: str
    """Why it is asked about, for people."""
    best: tuple[tuple[int, float], ...] = ()
    """Likeliest labels with their probabilities; empty where no model was asked."""


def find_suspects(
    dataset: Dataset, seed: int = 0, track: Track = untracked, cache: Cache = NOTHING_KEPT
) -> dict[str, Suspected]:
    """Returns what `data clean` suspects of a wrong label, by id, the least believed first."""
    features = extract(dataset, track, cache)
    found = suspects(cross_validated(features, seed, track, cache), features.labels)
    return {features.rows[each.position].id: Suspected(each.believed, each.believed_probability) for each in found}


def make_queue(
    rows: Iterable[Row],
    labels: Sequence[str],
    guesses: Mapping[str, Guess] | None,
    doubted: Mapping[str, Suspected],
    limit: int = LIMIT,
) -> list[Waiting]:
    """Returns the images to ask about, each once; suspects and unsure ones take turns.

    Args:
        rows: the images that may be asked about.
        labels: names of the labels.
        guesses: what a model believes, by id: the least margin comes first. None asks about images without label.
        doubted: suspects by id, the worst first.
        limit: most images.
    """
    known = {row.id: row for row in reversed(list(rows))}
    unsure = _least_margin(known, guesses) if guesses is not None else _unlabelled(known)
    wrong = (_suspect(known[image], labels, each, guesses) for image, each in doubted.items() if image in known)
    turns = chain.from_iterable(zip_longest(wrong, unsure))
    return list(islice(_once(each for each in turns if each is not None), limit))


def _least_margin(known: Mapping[str, Row], guesses: Mapping[str, Guess]) -> Iterator[Waiting]:
    found = sorted((each.margin, image) for image, each in guesses.items() if image in known)
    for margin, image in found:
        yield Waiting(known[image], f"unsure: margin {margin:.2f}", guesses[image].best)


def _unlabelled(known: Mapping[str, Row]) -> Iterator[Waiting]:
    return (Waiting(row, "no label yet") for row in reversed(list(known.values())) if row.label == NO_LABEL)


def _suspect(row: Row, labels: Sequence[str], each: Suspected, guesses: Mapping[str, Guess] | None) -> Waiting:
    why = f"suspected: believed to be {labels[each.believed]} ({each.probability:.0%})"
    guess = (guesses or {}).get(row.id)
    return Waiting(row, why, guess.best if guess else ((each.believed, each.probability),))


def _once(waiting: Iterable[Waiting]) -> Iterator[Waiting]:
    seen: set[str] = set()
    for each in waiting:
        if each.row.id not in seen:
            seen.add(each.row.id)
            yield each
