"""Marks every test by the folder it stands in, and keeps what one does from the next."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from servicekit import context

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


@pytest.fixture(autouse=True)
def _nobody_asks() -> Iterator[None]:
    """Leaves no request behind: what a test without an event loop enters, every later one would inherit."""
    yield
    context.enter(None)
