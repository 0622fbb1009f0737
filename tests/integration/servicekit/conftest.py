"""Metrics of a test's own, and the event loops that links must run on."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from prometheus_client import CollectorRegistry

from servicekit.metrics import RpcMetrics


@pytest.fixture
def metrics() -> RpcMetrics:
    """Client metrics that nobody else counts in."""
    return RpcMetrics("client", CollectorRegistry())


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Runs the tests of links, which use the loop's transports themselves, also on the loop that processes have."""
    both = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return both if item.path.stem.startswith("test_link") else {"asyncio": asyncio.new_event_loop}
