"""IDX, the format of MNIST and Fashion-MNIST: raw pixels in one file, labels in another, each also gzipped."""

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from modelkit.data.png import encode_png
from modelkit.data.records import MAX_IMAGES, Broken, DataError, Item, label_order, split_named
from modelkit.data.sources.source import MAX_IMAGE_BYTES, Source

_UNSIGNED_BYTES = 0x08
_CHANNELS = 3
_DAMAGE = (OSError, EOFError, zlib.error)


def read_idx(path: Path) -> Source:
    """Reads IDX files: `path` is one file of images, or the folder of several.

    `train-images-idx3-ubyte.gz` is the training split, `t10k-` the test split; the labels lie beside the images.

    Raises:
        DataError: there are no images, or a file is not what its name says.
    """
    images = [path] if path.is_file() else sorted(path.glob("*images*-ubyte*"))
    if not images:
        raise DataError(f"{path} holds no file named *images*-ubyte or *images*-ubyte.gz")
    labels = {file: _read_labels(file) for file in images}
    shapes = {file: _read_shape(file) for file in images}
    for file, (count, *_) in shapes.items():
        if labels[file] and len(labels[file]) != count:
            raise DataError(f"{file} has {count} images, {_labels_file(file).name} has {len(labels[file])} labels")
    return Source(
        labels=label_order(str(label) for each in labels.values() for label in set(each)),
        items=lambda: (item for file in images for item in _items(file, labels[file])),
        total=sum(shape[0] for shape in shapes.values()),
        files=tuple(file for each in images for file in (each, _labels_file(each)) if file.exists()),
    )


def _items(file: Path, labels: bytes) -> Iterator[Item | Broken]:
    split = split_named(file.name.split("-")[0])
    with _open(file) as stream:
        count, *shape = _shape(stream, file)
        size = math.prod(shape)
        for index in range(count):
            try:
                pixels = stream.read(size)
            except _DAMAGE:
                pixels = b""
            if len(pixels) < size:
                yield Broken(file.name, f"the file ends, or is damaged, in image {index} of {count}")
                return
            image = encode_png(np.frombuffer(pixels, np.uint8).reshape(shape))
            yield Item(image, str(labels[index]) if labels else None, split, f"{file.name}#{index}")


def _read_shape(file: Path) -> list[int]:
    with _open(file) as stream:
        return _shape(stream, file)


def _shape(stream: IO[bytes], file: Path) -> list[int]:
    """Reads the header of a file of images: count, height, width, and for colour 3."""
    shape = _header(stream, file)
    if len(shape) not in (3, 4) or shape[3:] not in ([], [_CHANNELS]):
        raise DataError(f"{file}: dimensions {shape}; images have count, height, width, and for colour a fourth: 3")
    if not 0 < math.prod(shape[1:]) <= MAX_IMAGE_BYTES - 2**16:
        raise DataError(f"{file}: dimensions {shape[1:]}; one image has 1 to {MAX_IMAGE_BYTES - 2**16} bytes")
    return shape


def _read_labels(images: Path) -> bytes:
    file = _labels_file(images)
    if not file.exists():
        return b""
    with _open(file) as stream:
        shape = _header(stream, file)
        try:
            labels = stream.read(shape[0]) if len(shape) == 1 else b""
        except _DAMAGE:
            labels = b""
    if len(shape) != 1 or len(labels) < shape[0]:
        raise DataError(f"{file}: labels have one dimension; the header says {shape}, {len(labels)} labels were read")
    return labels


def _labels_file(images: Path) -> Path:
    return images.with_name(images.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1"))


def _header(stream: IO[bytes], file: Path) -> list[int]:
    try:
        zeros, kind, dimensions = struct.unpack(">HBB", stream.read(4))
        shape = list(struct.unpack(f">{dimensions}I", stream.read(4 * dimensions)))
    except (struct.error, *_DAMAGE) as error:
        raise DataError(f"{file}: the header of an IDX file is cut off or damaged") from error
    if zeros or kind != _UNSIGNED_BYTES or not shape:
        raise DataError(f"{file}: no IDX file of unsigned bytes: it starts with {zeros:#06x}, type {kind:#04x}")
    if shape[0] > MAX_IMAGES:
        raise DataError(f"{file}: the header says {shape[0]} entries; the limit is {MAX_IMAGES}")
    return shape


def _open(file: Path) -> IO[bytes]:
    try:
        return gzip.open(file) if file.suffix == ".gz" else file.open("rb")  # type: ignore[return-value,unused-ignore]
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
