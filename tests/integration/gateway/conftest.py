"""A gateway and what stands behind it."""

from collections.abc import AsyncIterator

import pytest
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours


@pytest.fixture
async def behind() -> AsyncIterator[Neighbours]:
    """The three services, running."""
    async with Neighbours().running() as running:
        yield running


@pytest.fixture
async def gateway(behind: Neighbours) -> AsyncIterator[Gateway]:
    """A gateway in front of them, ready."""
    async with running_gateway(behind) as running:
        yield running
