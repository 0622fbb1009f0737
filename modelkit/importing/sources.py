"""Finds out what a source is, and reads it."""

from modelkit.importing.from_timm import TIMM, load_timm
from modelkit.importing.from_transformers import load_transformers
from modelkit.importing.from_weights import SAFETENSORS, load_weights
from modelkit.importing.loaded import Loaded, Wanted
from modelkit.importing.pickles import SUFFIXES


def load_source(wanted: Wanted) -> Loaded:
    """Reads a source: a name of timm, plain weights, or else what transformers knows.

    Raises:
        RecipeError: it cannot be read, is no image classifier, or cannot be served.
    """
    if wanted.source.startswith(TIMM):
        return load_timm(wanted)
    if wanted.source.endswith((SAFETENSORS, *SUFFIXES)):
        return load_weights(wanted)
    return load_transformers(wanted)
