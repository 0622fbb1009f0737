"""The one EXIF tag that matters to a classifier: which way is up.

Pillow's EXIF reader loads every tag's data, and 65 535 overlapping tags make gigabytes of it: this one reads two bytes.
"""

import struct

_ORIENTATION = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def orientation(exif: bytes) -> int:
    """Returns the orientation, 1 to 8, that an EXIF block declares.

    Args:
        exif: A TIFF structure, with or without the `Exif` prefix that JPEG puts before it.

    Returns:
        1 (upright) where the block is damaged or says nothing: wrong metadata never spoils good pixels.
    """
    try:
        value = _first_directory_value(exif.removeprefix(b"Exif\0\0"))
    except struct.error:
        return 1
    return value if 1 <= value <= 8 else 1


def _first_directory_value(tiff: bytes) -> int:
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return 1
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for entry in range(count):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + entry * _ENTRY_BYTES)
        if tag == _ORIENTATION and kind == _SHORT:
            return int(value)
    return 1
