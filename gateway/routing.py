"""Chooses the arm of an experiment that answers a request: a pure function of who asks, and what the experiments say.

Whoever asks with the same key gets the same arm. When weights change, nobody moves between two arms whose weight did
not: each key draws an exponentially distributed time for each arm, with the arm's weight as its rate, and the first one
wins (weighted rendezvous hashing).
"""

import functools
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Share = float
"""Between 0 and 1."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Is a version that answers a part of the requests."""

    name: str
    version: str
    weight: float
    """Above 0; the arm's part is its weight among the weights of all arms."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """Is a version that sees a part of the requests, and whose answers nobody gets."""

    name: str
    version: str
    share: Share


@dataclass(frozen=True, slots=True)
class Audience:
    """Says whose requests take part; what is empty asks nothing."""

    tenants: frozenset[str] = frozenset()
    headers: tuple[tuple[str, str], ...] = ()
    """Names in small letters, and the values that they must have; all of them."""

    def has(self, asker: "Asker") -> bool:
        """Says whether the request of this asker takes part."""
        if self.tenants and asker.tenant not in self.tenants:
            return False
        return all(asker.headers.get(name) == value for name, value in self.headers)


@dataclass(frozen=True, slots=True)
class Experiment:
    """Compares versions of one model."""

    name: str
    model: str
    salt: str
    """Of the arms: another one deals the keys anew."""
    arms: tuple[Arm, ...]
    """One or more."""
    shadows: tuple[Shadow, ...] = ()
    audience: Audience = field(default_factory=Audience)
    layer: str = ""
    """Experiments of one layer share no key; those of different layers deal their keys independently."""
    slot: tuple[Share, Share] = (0.0, 1.0)
    """The part of the layer's keys that takes part, from and to; slots of one layer and model do not overlap."""
    epoch: int = 0
    """Times that weights were changed."""
    slow_ms: float = math.inf
    """An answer that takes longer is late."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Is who sends a request, as far as routing needs to know."""

    key: str
    """What stays the same from request to request: a header, the tenant, or else the request's own id."""
    request_id: str
    tenant: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Says which version answers, and which ones see the request besides."""

    experiment: Experiment
    arm: Arm
    shadows: tuple[Shadow, ...] = ()


@dataclass(frozen=True, slots=True)
class Holdout:
    """Keeps some keys out of every experiment, so that there is somebody to compare all of them with."""

    salt: str
    share: Share = 0.0


def assign(
    experiments: Iterable[Experiment],
    model: str,
    asker: Asker,
    holdout: Holdout,
) -> Assignment | None:
    """Returns what the first experiment of this model decides that takes the asker; None where none does.

    Whether versions are ready does not matter here: an assignment counts, whatever becomes of it. Where the arm's
    version takes no requests, the request is answered as if there were no experiment; to give it to another arm would
    make the arms' askers differ.

    Args:
        experiments: those that run, in an order that is the same in every gateway.
        model: that the request names or means. A request that names a version takes part in none: do not ask.
        asker: who sends it.
        holdout: who is kept out.
    """
    if holdout.share and unit(holdout.salt, asker.key) < holdout.share:
        return None
    chosen = next((each for each in experiments if each.model == model and _takes(each, asker)), None)
    if chosen is None:
        return None
    arm = draw(chosen.arms, f"{chosen.name}/{chosen.salt}", asker.key)
    place = f"{chosen.name}/{chosen.salt}/shadow"
    seen = tuple(each for each in chosen.shadows if unit(f"{place}/{each.name}", asker.request_id) < each.share)
    return Assignment(chosen, arm, seen)


def draw(arms: Sequence[Arm], salt: str, key: str) -> Arm:
    """Returns the arm of a key.

    Args:
        arms: one or more.
        salt: of the experiment; two experiments with one salt would deal alike.
        key: of the asker.
    """
    return min(arms, key=lambda arm: -math.log(1 - unit(f"{salt}/{arm.name}", key)) / arm.weight)


def unit(salt: str, key: str) -> float:
    """Returns a number in [0, 1) that depends on salt and key alone, uniform over keys."""
    digest = hashlib.blake2b(key.encode(), key=_short(salt), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53


def key_hash(experiment: Experiment, key: str) -> bytes:
    """Returns 16 bytes that tell an experiment's keys apart, and say nothing about them to who lacks its salt."""
    salt = _short(f"{experiment.name}/{experiment.salt}/key")
    return hashlib.blake2b(key.encode(), key=salt, digest_size=16).digest()


@functools.lru_cache(maxsize=1024)  # there are a few for each experiment
def _short(salt: str) -> bytes:
    return hashlib.blake2b(salt.encode(), digest_size=32).digest()


def _takes(experiment: Experiment, asker: Asker) -> bool:
    begin, end = experiment.slot
    if (begin, end) != (0.0, 1.0) and not begin <= unit(f"layer/{experiment.layer}", asker.key) < end:
        return False
    return experiment.audience.has(asker)
