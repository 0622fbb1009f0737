"""What image processors say, as serving's recipe and the graph's normalisation."""

from typing import Any

import pytest

from modelkit.importing.preparation import Preparation, Wishes, changed, of_processor, of_timm, of_wishes
from modelkit.train.recipe import RecipeError
from servicekit.manifest import Recipe

PLAIN: dict[str, Any] = {
    "do_resize": True,
    "size": {"height": 224, "width": 224},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def near(mean: float, std: float) -> Any:
    """Returns what compares equal to three channels' mean and deviation."""
    return pytest.approx([mean] * 3), pytest.approx([std] * 3)


@pytest.mark.parametrize(
    ("told", "expected", "squeezed"),
    [
        ({}, (224, 224, 1.0, "bilinear"), True),
        ({"size": 160, "resample": 3}, (160, 160, 1.0, "bicubic"), True),
        (
            {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}},
            (224, 224, 0.875, "bilinear"),
            False,
        ),
        (
            {"size": {"shortest_edge": 224}, "do_center_crop": True, "crop_size": 224},
            (224, 224, 1.0, "bilinear"),
            False,
        ),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, (224, 224, 0.875, "bilinear"), False),
        ({"size": 224, "crop_pct": 0.9, "resample": 1}, (224, 224, 224 / 248, "lanczos"), False),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, (384, 384, 1.0, "bilinear"), True),
        (
            {"size": {"height": 100, "width": 200}, "do_center_crop": True, "crop_size": {"height": 50, "width": 100}},
            (100, 50, 0.5, "bilinear"),
            True,
        ),
    ],
    ids=["vit", "number", "mobilenet", "clip", "convnext", "convnext by number", "large convnext", "wide"],
)
def test_sizes_crops_and_filters(told: dict[str, Any], expected: tuple[int, int, float, str], squeezed: bool) -> None:
    """Each way to say a size is the recipe that serving has; squeezing is noted."""
    found = of_processor({**PLAIN, **told})
    recipe = found.input
    assert expected == (recipe.width, recipe.height, recipe.crop, recipe.interpolation)
    assert squeezed == bool(found.notes)


@pytest.mark.parametrize(
    ("told", "mean", "std"),
    [
        ({}, 127.5, 127.5),
        ({"do_rescale": False}, 0.5, 0.5),
        ({"do_normalize": False}, 0.0, 255.0),
        ({"do_normalize": False, "do_rescale": False}, 0.0, 1.0),
        ({"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3}, 127.5, 127.5),
        ({"include_top": True}, 127.5, 63.75),
    ],
)
def test_normalisation_is_of_pixels(told: dict[str, Any], mean: float, std: float) -> None:
    """What the processor divides before it normalises is multiplied back, so that the graph takes pixels."""
    found = of_processor({**PLAIN, **told})
    assert near(mean, std) == (list(found.mean), list(found.std))


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"do_flip_channel_order": True}, "do_flip_channel_order, which serving does not do"),
        ({"rescale_offset": True}, "rescale_offset"),
        ({"do_resize": False}, "does not resize"),
        ({"resample": 0}, "filter 0, which serving has not"),
        ({"image_mean": [0.5]}, "takes 1 channels"),
        ({"size": {"shortest_edge": 224}}, "keeps each picture's own shape"),
        ({"size": {"longest_edge": 224}}, "names neither height and width nor the shortest edge"),
        ({"do_center_crop": True, "crop_size": 256}, "cuts 256 x 256 out of 224 x 224"),
        ({"size": 5000}, "cannot be served: width: Input should be less than or equal to 4096"),
    ],
)
def test_what_serving_does_not_do_is_refused(told: dict[str, Any], why: str) -> None:
    """A step that is left out in silence would cost accuracy in silence."""
    with pytest.raises(RecipeError, match=why):
        of_processor({**PLAIN, **told})


def test_a_filter_may_be_chosen_instead() -> None:
    """Who knows that nearest is not served takes another."""
    assert "bicubic" == of_processor({**PLAIN, "resample": 0}, Wishes(interpolation="bicubic")).input.interpolation


def test_timm_says_the_same_in_other_words() -> None:
    """Channels first, a crop as a share, a filter by name."""
    told = {
        "input_size": (3, 224, 224),
        "crop_pct": 0.95,
        "interpolation": "bicubic",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
    }
    found = of_timm(told)
    assert Recipe(width=224, height=224, crop=224 / 235, interpolation="bicubic") == found.input
    assert near(127.5, 63.75) == (list(found.mean), list(found.std))
    with pytest.raises(RecipeError, match="interpolation: Input should be"):
        of_timm({**told, "interpolation": "nearest"})
    with pytest.raises(RecipeError, match="takes 1 channels"):
        of_timm({**told, "input_size": (1, 28, 28)})


def test_a_persons_word_counts() -> None:
    """Over the processor's, or alone; what nobody says is asked for."""
    wishes = Wishes(size=32, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))
    assert Preparation(Recipe(width=32, height=32, crop=1.0), (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)) == of_wishes(wishes)
    assert 0.5 == changed(of_processor(PLAIN), Wishes(crop=0.5)).input.crop
    with pytest.raises(RecipeError, match="give --size, --mean, --std"):
        of_wishes(Wishes())
    with pytest.raises(RecipeError, match="crop: Input should be less than or equal to 1"):
        changed(of_processor(PLAIN), Wishes(crop=2))
