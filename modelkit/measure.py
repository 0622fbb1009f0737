"""Measures how far a model's answers are from those of the model that it was made of."""

from pathlib import Path

from modelkit.engine import logits
from modelkit.gate import Comparison, compare
from modelkit.variants import photographs, unchanged, variants
from servicekit.manifest import Recipe

VARIANTS_EACH = 40
SEED = 2
"""Another one than calibration's."""


def measure(parent: bytes, candidate: bytes, folder: Path, recipe: Recipe, *, precision: str = "") -> Comparison:
    """Compares two ONNX files: the parent in f32, the candidate as it would serve.

    Args:
        parent: the ONNX file that the candidate was made of.
        candidate: the ONNX file to judge.
        folder: the photographs; each is compared as it is and in `VARIANTS_EACH` variants.
        recipe: what both models take.
        precision: in which the candidate computes what is not integers, as in `modelkit.engine.compiled`.

    Raises:
        NoPhotographsError: the folder holds none.
    """
    files = photographs(folder)
    plain, varied = unchanged(files, recipe), variants(files, recipe, each=VARIANTS_EACH, seed=SEED)
    return compare(
        [path.name for path in files],
        (logits(parent, plain, precision="f32"), logits(candidate, plain, precision=precision)),
        (logits(parent, varied, precision="f32"), logits(candidate, varied, precision=precision)),
    )
