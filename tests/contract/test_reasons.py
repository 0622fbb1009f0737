"""The reasons that the code can answer with, against the page that explains them."""

from pathlib import Path

import pytest

from servicekit.errors import Reason

API = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained(reason: Reason) -> None:
    """docs/api.md names each reason, in code type."""
    assert f"`{reason.value}`" in API.read_text(encoding="utf-8")
