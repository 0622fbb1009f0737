"""A model that is only bytes, for tests of what happens to files."""

from modelkit.publish import Card, Release
from servicekit.manifest import Output, Recipe

CARD = Card("shapes", "Shapes", "", "CC0-1.0", {}, Recipe(width=4, height=4, crop=1.0), Output(classes=2), ("a", "b"))
ONE, TWO = (Release(number, f"model {number}".encode() * 999, files={"golden.json": b"{}"}) for number in "12")
