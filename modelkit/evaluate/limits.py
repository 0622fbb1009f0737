"""What a model card warns of: sentences that follow from the figures, and what was never measured."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelkit.evaluate.markdown import percent

_FEW = 100
"""Pictures of a class below which its figures say little."""
_LATE = 0.5
"""Share of the answers without corruption that a severity may leave before it is warned of."""


def limits(content: Mapping[str, Any]) -> Iterator[str]:
    """Yields the warnings."""
    yield from _of_classes(content["accuracy"]["classes"])
    yield from _of_robustness(content["robustness"])
    if not content["calibration"]["fitted_on"]:
        yield f"Confidence is not calibrated: {content['calibration']['why_not']}."
    yield "Pictures that show none of the classes are answered with one of them all the same."
    yield (
        "Corruptions are applied to the resized picture, by functions that imitate cameras and weather. The strengths "
        "are Triptych's own: figures compare with each other, not with published ones."
    )
    yield "Not measured: other data sets, groups of people, attacks. Time and memory are those of one machine."


def _of_classes(classes: list[Mapping[str, Any]]) -> Iterator[str]:
    known = [each for each in classes if each["accuracy"] is not None]
    worst = min(known, key=lambda each: each["accuracy"])
    yield f"The class {worst['label']} is told least well: {percent(worst['accuracy'])} of its pictures."
    few = sum(each["pictures"] < _FEW for each in classes)
    if few:
        yield f"{few} of {len(classes)} classes have fewer than {_FEW} test pictures: their figures say little."


def _of_robustness(robustness: Mapping[str, Any]) -> Iterator[str]:
    clean, corruptions = robustness["clean_top1"], robustness["corruptions"]
    worst = min(corruptions, key=lambda name: sum(corruptions[name]))
    mean = sum(corruptions[worst]) / len(corruptions[worst])
    yield f"{worst.replace('_', ' ').capitalize()} harms most: {percent(mean)} on average of {percent(clean)}."
    halved = [name.replace("_", " ") for name, values in corruptions.items() if min(values) < _LATE * clean]
    if halved:
        yield f"At the highest severity less than half of the right answers are left with {', '.join(halved)}."
