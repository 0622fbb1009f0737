"""Small differences go through the preprocess service's own functions."""

from io import BytesIO

import numpy as np
from datasources import encoded, picture
from PIL import Image

from modelkit.evaluate.variations import QUALITIES, SHIFTS_PX, recompressed, shifted, variations
from servicekit.manifest import Recipe
from services.preprocess.headers import Limits
from services.preprocess.transforms import image_to_array

RECIPE = Recipe(width=12, height=10, crop=0.9, interpolation="bilinear")


def test_every_variation_is_a_picture_for_the_model() -> None:
    """Of PNGs and JPEGs alike; the recipe's own filter is no variation."""
    found = variations(RECIPE, 0)
    assert [5, 2, 3, 3] == [len(levels) for levels in found.values()]
    assert {"bicubic", "lanczos"} == set(found["resizing"])
    for content in (picture(3), recompressed(picture(3), 90)):
        for levels in found.values():
            for vary in levels.values():
                pixels = vary(content, "id")
                assert ((10, 12, 3), "uint8") == (pixels.shape, str(pixels.dtype))


def test_lower_quality_is_further_away() -> None:
    """A lower JPEG quality changes what the model sees more."""
    plain = image_to_array(picture(1), RECIPE, Limits()).pixels.astype(int)
    levels = variations(RECIPE, 0)["jpeg quality"]
    changes = [float(np.abs(levels[str(each)](picture(1), "") - plain).mean()) for each in QUALITIES]
    assert sorted(changes) == changes


def test_a_shift_is_the_same_for_a_picture() -> None:
    """Its id decides the direction, at every distance."""
    levels = variations(RECIPE, 0)["shift"]
    plain = image_to_array(picture(2), RECIPE, Limits()).pixels
    directions = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]
    chosen = {
        direction
        for direction in directions
        for pixels in SHIFTS_PX
        if (levels[f"{pixels} px"](picture(2), "id") == shifted(plain, *(pixels * each for each in direction))).all()
    }
    assert 1 == len(chosen)


def test_shifted_by_hand() -> None:
    """Down by one and right by one; the edge goes on."""
    pixels = np.arange(9, dtype=np.uint8).reshape(3, 3, 1).repeat(3, axis=2)
    assert [[0, 0, 1], [0, 0, 1], [3, 3, 4]] == shifted(pixels, 1, 1)[..., 0].tolist()
    assert [[1, 2, 2], [4, 5, 5], [7, 8, 8]] == shifted(pixels, 0, -1)[..., 0].tolist()


def test_recompressed_is_upright() -> None:
    """EXIF is obeyed before it is lost."""
    image = Image.new("RGB", (6, 4), "red")
    exif = image.getexif()
    exif[0x0112] = 6
    content = BytesIO()
    image.save(content, "JPEG", exif=exif.tobytes())
    with Image.open(BytesIO(recompressed(content.getvalue(), 90))) as again:
        assert ((4, 6), "JPEG") == (again.size, again.format)
    assert encoded(image) != content.getvalue()
