"""Marks every test by the folder it stands in."""

from pathlib import Path

import pytest

TIERS = frozenset({"unit", "integration", "e2e", "contract", "slow"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Adds `unit` to what is below `tests/unit`, and so on."""
    here = Path(__file__).parent
    for item in items:
        tier = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        if tier in TIERS:
            item.add_marker(tier)
