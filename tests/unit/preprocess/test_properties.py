"""Whatever the bytes are, the answer is an array or the caller's fault."""

import contextlib
import io

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from servicekit.errors import InvalidArgument
from servicekit.manifest import Recipe
from services.preprocess.geometry import crop_box
from services.preprocess.headers import Limits
from services.preprocess.reference import reference_array
from services.preprocess.transforms import image_to_array

SMALL = Recipe(width=16, height=12, crop=0.875)
LIMITS = Limits(max_pixels=1_000_000)
BOUNDED = settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def decode(content: bytes) -> None:
    """Decodes, or is refused politely; anything else escapes and fails the test."""
    with contextlib.suppress(InvalidArgument):
        decoded = image_to_array(content, SMALL, LIMITS)
        assert decoded.pixels.shape == (12, 16, 3)
        assert decoded.pixels.dtype == np.uint8


@BOUNDED
@given(data=st.data())
def test_flipped_bytes(data: st.DataObject, pictures: dict[str, bytes]) -> None:
    """Changed bytes never make anything but a picture or a refusal."""
    content = bytearray(data.draw(st.sampled_from(sorted(pictures.values()))))
    places = st.integers(0, len(content) - 1) | st.integers(0, min(len(content) - 1, 100))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=8)):
        content[place] = value
    decode(bytes(content))


@BOUNDED
@given(data=st.data())
def test_spliced_files(data: st.DataObject, pictures: dict[str, bytes]) -> None:
    """The head of one file before the tail of another, or of nothing, is a picture or a refusal."""
    head, tail = (data.draw(st.sampled_from(sorted(pictures.values()))) for _ in range(2))
    decode(head[: data.draw(st.integers(0, len(head)))] + tail[data.draw(st.integers(0, len(tail))) :])


@BOUNDED
@given(
    magic=st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBP", b""]),
    rest=st.binary(),
)
def test_noise(magic: bytes, rest: bytes) -> None:
    """Noise behind any magic number is a picture or a refusal."""
    decode(magic + rest)


@settings(max_examples=100, deadline=None)
@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    crop=st.floats(0.1, 1),
    target=st.tuples(*[st.integers(1, 64)] * 2),
)
def test_any_geometry(width: int, height: int, crop: float, target: tuple[int, int]) -> None:
    """Any size, aspect ratio and crop agree with the reference, and a flat picture stays flat."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), (90, 90, 90)).save(file, "JPEG")
    recipe = Recipe(width=target[0], height=target[1], crop=crop)
    decoded = image_to_array(file.getvalue(), recipe, Limits())
    assert np.array_equal(reference_array(file.getvalue(), recipe), decoded.pixels)
    assert (height, width) == (decoded.height_px, decoded.width_px)


@given(
    width=st.integers(1, 20_000),
    height=st.integers(1, 20_000),
    crop=st.floats(0.05, 1),
    target=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
)
def test_crop_box(width: int, height: int, crop: float, target: tuple[int, int]) -> None:
    """The box lies within the picture, is centred, and has the target's aspect ratio and the crop's share."""
    box = crop_box(width, height, Recipe(width=target[0], height=target[1], crop=crop))
    assert 0 <= box.left < box.right <= width
    assert 0 <= box.top < box.bottom <= height
    assert np.allclose((width, height), (box.left + box.right, box.top + box.bottom))
    assert np.isclose(target[0] / target[1], box.width_px / box.height_px, rtol=1e-4)
    assert np.isclose(crop, max(box.width_px / width, box.height_px / height))
