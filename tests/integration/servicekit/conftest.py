"""Metrics of a test's own, the event loops that links must run on, and TLS, which must change nothing."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest
import trustme
import uvloop
from fakes.certificates import HERE, Folder, usually
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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs the tests of channels and links over TLS as well."""
    if metafunc.definition.path.stem.startswith(("test_link", "test_channel")):
        metafunc.parametrize("_secured", [False, True], ids=["plain", "tls"], indirect=True)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A certificate that everybody in a test has."""
    authority = trustme.CA()
    return Folder(tmp_path_factory.mktemp("tls")).put(authority.issue_cert(*HERE, "preprocess"), authority)


@pytest.fixture(autouse=True)
def _secured(request: pytest.FixtureRequest, folder: Folder) -> Iterator[None]:
    """Whether servers and channels use TLS."""
    with usually(folder) if getattr(request, "param", False) else nullcontext():
        yield
