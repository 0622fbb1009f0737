"""docs/evaluation.md tells the corruptions as the table has them."""

from pathlib import Path

from modelkit.evaluate.corruptions import CORRUPTIONS
from modelkit.evaluate.variations import variations
from servicekit.manifest import Recipe

TEXT = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_every_corruption_is_told_with_its_strengths() -> None:
    """A changed strength is a changed document."""
    rows = [
        f"| {each.family} | `{name}` | {each.unit} | {', '.join(f'{strength:g}' for strength in each.strengths)} |"
        for name, each in CORRUPTIONS.items()
    ]
    assert "\n".join(rows) in TEXT


def test_every_variation_is_told() -> None:
    """Each has its row."""
    for name in variations(Recipe(width=8, height=8, crop=1.0), 0):
        assert f"\n| {name} | " in TEXT
