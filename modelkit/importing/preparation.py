"""What an image processor says, as an input recipe and a normalisation: size, crop, filter, mean and deviation.

What serving cannot do alike is refused, not approximated in silence; what it does a little otherwise is a note.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from modelkit.train.recipe import RecipeError
from servicekit.manifest import Recipe as Input

Channels = tuple[float, float, float]

_FILTERS = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""By Pillow's numbers; 0 is nearest, 4 box, 5 hamming, which serving has not."""
_REFUSED = ("rescale_offset", "do_pad", "do_flip_channel_order", "do_grayscale", "do_thumbnail", "do_align_long_axis")
"""Steps that serving does not take."""
_UNCROPPED_PX = 384
"""From this size on, processors with `crop_pct` squeeze the whole picture."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """Is how bytes become what a network takes."""

    input: Input
    mean: Channels
    """Of the channels, subtracted from the pixels (0 to 255)."""
    std: Channels
    """What the difference is divided by."""
    notes: tuple[str, ...] = ()
    """In what serving differs from the original."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """Is what a person says instead of the processor, or where there is none; None says nothing."""

    size: int | None = None
    """Width and height, pixels."""
    crop: float | None = None
    interpolation: str | None = None
    mean: Channels | None = None
    std: Channels | None = None


def of_processor(told: Mapping[str, Any], wishes: Wishes | None = None) -> Preparation:
    """Translates the settings of a processor of transformers, all of which must be spelled out.

    Args:
        told: the settings.
        wishes: a filter in it is taken instead of the processor's, which may be one that serving has not.

    Raises:
        RecipeError: it does something that serving does not.
    """
    for step in _REFUSED:
        if told.get(step):
            raise RecipeError(f"the image processor has {step}, which serving does not do")
    if not told.get("do_resize", True):
        raise RecipeError("the image processor does not resize; say what the network takes with --size")
    mean, std = _normalisation(told)
    size, crop, squeezed = _geometry(told)
    wished = wishes.interpolation if wishes else None
    return Preparation(_input(size, crop, wished or _filter(told.get("resample", 2))), mean, std, _notes(squeezed))


def of_timm(told: Mapping[str, Any]) -> Preparation:
    """Translates a pretrained configuration of timm.

    Raises:
        RecipeError: it asks for something that serving does not do.
    """
    channels, height, width = told["input_size"]
    if channels != 3 or told.get("crop_mode") == "border":
        raise RecipeError(f"the network takes {channels} channels, crop mode {told.get('crop_mode')!r}: not served")
    squeezed = told.get("crop_mode") == "squash"
    mean, std = (_channels(told[key], 1 / 255) for key in ("mean", "std"))
    crop = _share(width, float(told.get("crop_pct") or 1.0))
    recipe = _input((width, height), crop, str(told.get("interpolation", "bicubic")))
    return Preparation(recipe, mean, std, _notes(squeezed))


def of_wishes(wishes: Wishes, size: tuple[int, int] | None = None) -> Preparation:
    """Takes a person's word for all of it.

    Args:
        wishes: what the person says.
        size: width and height where they are known.

    Raises:
        RecipeError: size, mean or deviation is missing.
    """
    size = (wishes.size, wishes.size) if wishes.size else size
    if size is None or wishes.mean is None or wishes.std is None:
        known = {"--size": size, "--mean": wishes.mean, "--std": wishes.std}
        missing = ", ".join(name for name, value in known.items() if value is None)
        raise RecipeError(f"nothing says how pictures are prepared for this model: give {missing}")
    recipe = _input(size, wishes.crop or 1.0, wishes.interpolation or "bicubic")
    return Preparation(recipe, wishes.mean, wishes.std)


def changed(preparation: Preparation, wishes: Wishes) -> Preparation:
    """Returns the preparation with what a person says otherwise.

    Raises:
        RecipeError: the crop or the filter is none that serving has.
    """
    recipe = preparation.input
    size = (wishes.size, wishes.size) if wishes.size else (recipe.width, recipe.height)
    crop, interpolation = wishes.crop or recipe.crop, wishes.interpolation or recipe.interpolation
    mean, std = wishes.mean or preparation.mean, wishes.std or preparation.std
    return replace(preparation, input=_input(size, crop, interpolation), mean=mean, std=std)


def _normalisation(told: Mapping[str, Any]) -> tuple[Channels, Channels]:
    """Returns mean and deviation of pixels: what is rescaled first is scaled back."""
    factor = float(told.get("rescale_factor", 1 / 255)) if told.get("do_rescale", True) else 1.0
    if not told.get("do_normalize", True):
        return _channels((0, 0, 0), factor), _channels((1, 1, 1), factor)
    mean, std = told["image_mean"], [float(value) for value in told["image_std"]]
    if told.get("include_top"):  # EfficientNet's classifier divides by the deviation a second time
        std = [value**2 for value in std]
    return _channels(mean, factor), _channels(std, factor)


def _channels(values: Sequence[float], factor: float) -> Channels:
    if len(values) != 3:
        raise RecipeError(f"the network takes {len(values)} channels; serving sends three, RGB")
    red, green, blue = (float(value) / factor for value in values)
    return red, green, blue


def _geometry(told: Mapping[str, Any]) -> tuple[tuple[int, int], float, bool]:
    """Returns width and height, the crop's share, and whether the original squeezes pictures."""
    edges = _edges(told.get("size"), square=told.get("default_to_square", "crop_pct" not in told))
    if told.get("crop_pct") is not None and "shortest_edge" in edges:
        side = edges["shortest_edge"]
        return (
            (side, side),
            _share(side, float(told["crop_pct"])) if side < _UNCROPPED_PX else 1.0,
            side >= _UNCROPPED_PX,
        )
    if told.get("do_center_crop"):
        return _cropped(edges, _edges(told.get("crop_size"), square=True))
    if "shortest_edge" in edges:
        raise RecipeError("the image processor keeps each picture's own shape; serving needs one size: say --size")
    return (edges["width"], edges["height"]), 1.0, True


def _share(side: int, told: float) -> float:
    """Returns the share that is cut out in truth: pictures are first resized to whole pixels, rounded down."""
    return side / int(side / told) if 0 < told <= 1 else told  # which is refused


def _cropped(edges: Mapping[str, int], crop: Mapping[str, int]) -> tuple[tuple[int, int], float, bool]:
    width, height = crop["width"], crop["height"]
    whole = (edges.get("width", edges.get("shortest_edge", 0)), edges.get("height", edges.get("shortest_edge", 0)))
    shares = {round(width / max(whole[0], 1), 6), round(height / max(whole[1], 1), 6)}
    if len(shares) > 1 or max(shares) > 1:
        raise RecipeError(f"the image processor cuts {width} x {height} out of {whole[0]} x {whole[1]}: not served")
    return (width, height), width / whole[0], "shortest_edge" not in edges


def _edges(size: Any, *, square: Any) -> dict[str, int]:
    if isinstance(size, int):
        return {"height": size, "width": size} if square else {"shortest_edge": size}
    known = {name: int(value) for name, value in dict(size or {}).items() if value is not None}
    if not ({"height", "width"} <= known.keys() or "shortest_edge" in known):
        raise RecipeError(f"the image processor's size {size!r} names neither height and width nor the shortest edge")
    return known


def _filter(number: Any) -> str:
    found = _FILTERS.get(int(number))
    if found is None:
        raise RecipeError(
            f"the image processor resizes with Pillow's filter {int(number)}, which serving has not; choose another "
            "with --interpolation"
        )
    return found


def _input(size: tuple[int, int], crop: float, interpolation: str) -> Input:
    width, height = size
    try:
        return Input.model_validate({"width": width, "height": height, "crop": crop, "interpolation": interpolation})
    except ValidationError as error:
        problem = error.errors()[0]
        raise RecipeError(f"what the network takes cannot be served: {problem['loc'][0]}: {problem['msg']}") from error


def _notes(squeezed: bool) -> tuple[str, ...]:  # noqa: FBT001 -- the one thing there is to note
    if not squeezed:
        return ()
    return ("the original squeezes the whole picture into its size; serving cuts out the largest box of that shape",)
