"""What processing does to pictures. Pictures are fp32 `[height, width, 3]`, from 0 to 1."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from modelkit.evaluate.fields import grain

Floats = npt.NDArray[np.float32]

_BEND = 0.05
"""Over which an elastic picture is displaced alike, as a share of the shorter side."""


def contrast(picture: Floats, lost: float, _: np.random.Generator) -> Floats:
    """Takes this share of the distance to the picture's mean away."""
    return np.asarray(picture + np.float32(lost) * (picture.mean() - picture), np.float32)


def elastic(picture: Floats, shift: float, rng: np.random.Generator) -> Floats:
    """Displaces every point by a smooth random field; `shift` is its standard deviation, a share of the side."""
    height, width = picture.shape[:2]
    side = min(height, width)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    down, right = (shift * side * grain(height, width, max(_BEND * side, 1.0), rng) for _ in range(2))
    places = np.stack([rows + down, columns + right])
    channels = [ndimage.map_coordinates(picture[..., each], places, order=1, mode="nearest") for each in range(3)]
    return np.asarray(np.stack(channels, axis=2), np.float32)


def pixelate(picture: Floats, kept: float, _: np.random.Generator) -> Floats:
    """Keeps this share of the pixels of a side, and enlarges each to a block."""
    height, width = picture.shape[:2]
    image = _image(picture)
    small = image.resize((max(1, round(kept * width)), max(1, round(kept * height))), Image.Resampling.BOX)
    return _floats(small.resize((width, height), Image.Resampling.NEAREST))


def jpeg(picture: Floats, quality: float, _: np.random.Generator) -> Floats:
    """Compresses the picture as JPEG, of a quality between 1 and 100, with halved colour resolution."""
    content = BytesIO()
    _image(picture).save(content, "JPEG", quality=int(quality), subsampling="4:2:0")
    with Image.open(content) as image:
        return _floats(image)


def _image(picture: Floats) -> Image.Image:
    return Image.fromarray(np.asarray(np.rint(picture * 255), np.uint8))


def _floats(image: Image.Image) -> Floats:
    return np.asarray(image, np.float32) / np.float32(255)
