"""A gateway and what stands behind it."""

from collections.abc import AsyncIterator

import pytest
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours


@pytest.fixture(params=[False, True], ids=["grpc", "link"])
async def behind(request: pytest.FixtureRequest) -> AsyncIterator[Neighbours]:
    """The three services, running, behind either transport."""
    async with Neighbours(linked=request.param).running() as running:
        yield running


@pytest.fixture
async def gateway(behind: Neighbours) -> AsyncIterator[Gateway]:
    """A gateway in front of them, ready."""
    async with running_gateway(behind) as running:
        yield running
