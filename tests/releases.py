"""A model that is only bytes, for tests of what happens to files."""

import hashlib
from typing import Any

from modelkit.gate import Passed
from modelkit.publish import Card, Release
from servicekit.manifest import Output, Recipe

CARD = Card("shapes", "Shapes", "", "CC0-1.0", {}, Recipe(width=4, height=4, crop=1.0), Output(classes=2), ("a", "b"))


def release(version: str, onnx: bytes, **facts: Any) -> Release:
    """Returns a version with the gates' word, which no gate gave: these tests are about files."""
    return Release(version, onnx, Passed(hashlib.sha256(onnx).hexdigest(), {}), **facts)


ONE, TWO = (release(number, f"model {number}".encode() * 999, files={"golden.json": b"{}"}) for number in "12")
