"""The gate that a quantised model passes before it is published: it must answer as the model that it was made of.

Photographs must keep their first class, every one of them.
Of their variants some stand so near the border between two classes that any rounding turns them over, bf16 included;
so a few may change, but none of which the parent was sure.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]
"""`[n, classes]`."""

MIN_AGREEMENT = 0.9
"""Share of the variants that keep their first class."""
MAX_FLIPPED_MARGIN = 0.6
"""Logits between the parent's first and second class of a variant that changed: e^0.6 = 1.8 times as probable."""
MAX_MEAN_KL = 0.02
"""Nats, from the parent's distribution over the classes to the candidate's."""


class GateError(ValueError):
    """Says which numbers keep a model from being published, and by how much."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Is how far a candidate's answers are from its parent's."""

    changed_photographs: tuple[str, ...]
    """Names of the photographs whose first class is another one."""
    photographs: int
    variants: int
    agreement: float
    """Share of the variants that keep their first class."""
    flipped_margin: float
    """Largest margin, in logits, by which the parent preferred a class that the candidate does not; 0 without any."""
    mean_kl: float
    """Nats, over the variants."""
    min_correlation: float
    """Pearson's, between the logits of a variant; the least of all variants."""


@dataclass(frozen=True, slots=True)
class Passed:
    """Is the gates' word for one file: `publish` takes no model without it."""

    sha256: str
    figures: dict[str, float | int | str]
    """What was measured, for the manifest."""


def compare(names: Sequence[str], plain: tuple[Logits, Logits], varied: tuple[Logits, Logits]) -> Comparison:
    """Compares answers.

    Args:
        names: of the photographs.
        plain: the parent's and the candidate's logits of the photographs.
        varied: the parent's and the candidate's logits of the variants.
    """
    changed = [name for name, flip in zip(names, _flips(*plain), strict=True) if flip]
    flips = _flips(*varied)
    return Comparison(
        changed_photographs=tuple(changed),
        photographs=len(names),
        variants=len(flips),
        agreement=float(1 - flips.mean()),
        flipped_margin=float(_margins(varied[0])[flips].max(initial=0)),
        mean_kl=float(_kl(*varied).mean()),
        min_correlation=min(float(np.corrcoef(a, b)[0, 1]) for a, b in zip(*varied, strict=True)),
    )


def judge(candidate: bytes, comparison: Comparison) -> Passed:
    """Lets a candidate pass that differs little enough.

    Args:
        candidate: the file whose answers were compared.
        comparison: what came out.

    Raises:
        GateError: with a sentence for every number that is out of bounds.
    """
    c = comparison
    problems = []
    if c.changed_photographs:
        share = f"{len(c.changed_photographs)} of {c.photographs} photographs"
        problems.append(f"the first class of {share} changed, none may: {', '.join(c.changed_photographs)}")
    if not c.agreement >= MIN_AGREEMENT:
        below = f"{MIN_AGREEMENT - c.agreement:.3f} below the least allowed, {MIN_AGREEMENT}"
        problems.append(f"{c.agreement:.3f} of {c.variants} variants keep their first class, {below}")
    problems += _above("the margin of a changed variant", c.flipped_margin, MAX_FLIPPED_MARGIN, "logits")
    problems += _above("the mean KL divergence", c.mean_kl, MAX_MEAN_KL, "nats")
    if problems:
        raise GateError("the candidate answers too differently from its parent: " + "; ".join(problems))
    return Passed(hashlib.sha256(candidate).hexdigest(), _figures(c))


def _above(what: str, value: float, limit: float, unit: str) -> list[str]:
    if value <= limit:
        return []
    return [f"{what} is {value:.3f} {unit}, {value - limit:.3f} above the most allowed, {limit}"]


def _flips(parent: Logits, candidate: Logits) -> npt.NDArray[np.bool_]:
    return np.asarray(parent.argmax(axis=1) != candidate.argmax(axis=1))


def _margins(answers: Logits) -> npt.NDArray[np.float64]:
    second, first = np.partition(answers.astype(np.float64), -2, axis=1)[:, -2:].T
    return np.asarray(first - second)


def _kl(parent: Logits, candidate: Logits) -> npt.NDArray[np.float64]:
    p, q = _log_softmax(parent), _log_softmax(candidate)
    return np.asarray((np.exp(p) * (p - q)).sum(axis=1))


def _log_softmax(answers: Logits) -> npt.NDArray[np.float64]:
    shifted = answers.astype(np.float64) - answers.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _figures(comparison: Comparison) -> dict[str, float | int | str]:
    return {
        "photographs": comparison.photographs,
        "photographs_same_top1": comparison.photographs - len(comparison.changed_photographs),
        "variants": comparison.variants,
        "variants_same_top1": round(comparison.agreement, 4),
        "changed_variant_margin_max_logits": round(comparison.flipped_margin, 3),
        "kl_mean_nats": round(comparison.mean_kl, 5),
        "logit_correlation_min": round(comparison.min_correlation, 4),
    }
