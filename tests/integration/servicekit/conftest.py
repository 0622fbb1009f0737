"""Metrics of a test's own."""

import pytest
from prometheus_client import CollectorRegistry

from servicekit.metrics import RpcMetrics


@pytest.fixture
def metrics() -> RpcMetrics:
    """Client metrics that nobody else counts in."""
    return RpcMetrics("client", CollectorRegistry())
