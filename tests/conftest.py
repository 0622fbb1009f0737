"""Marks every test by the folder it stands in."""

from pathlib import Path

import pytest
import structlog

TIERS = frozenset({"unit", "integration", "e2e", "contract", "slow"})

# Plain lines: the default renderer draws every traceback with its variables, which takes a second each.
structlog.configure(
    processors=[
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ]
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Adds `unit` to what is below `tests/unit`, and so on."""
    here = Path(__file__).parent
    for item in items:
        tier = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        if tier in TIERS:
            item.add_marker(tier)
