"""The load generator against a real gateway: it counts right answers, tells wrong ones, and keeps its schedule."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours, raising

from benchmarks.load.engine import Engine, Outcome, poisson
from benchmarks.load.exchange import Workload
from benchmarks.load.triptych import TRANSPORTS, Transport, workload
from servicekit.errors import InvalidArgument

CONTENTS = [letter * 100_000 for letter in (b"a", b"b", b"c")]
"""Larger than HTTP/2's first window, so that flow control has its part."""
RIGHT = (97, 98, 99)


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


def _workload(gateway: Gateway, transport: Transport, expected: tuple[int, ...] = RIGHT) -> Workload:
    port = gateway.grpc_port if transport == "grpc" else gateway.http_port
    return workload(transport, port, CONTENTS, expected)


async def _closed(target: Workload, clients: int = 4) -> Outcome:
    def run() -> Outcome:
        engine = Engine(target, clients, {})
        try:
            return engine.closed(0.1, 3.0)  # long enough for some answers where a machine stands still for two seconds
        finally:
            engine.close()

    return await asyncio.to_thread(run)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_right_answers_are_counted(gateway: Gateway, transport: Transport) -> None:
    """Every transport's answers are read and found right, with a latency for each."""
    outcome = await _closed(_workload(gateway, transport))
    assert [] == outcome.failures
    assert len(outcome.latencies_s) > 4
    assert 0 < outcome.quantile_ms(0.5) <= outcome.quantile_ms(0.99)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_wrong_answers_are_told(gateway: Gateway, transport: Transport) -> None:
    """An answer with another class than expected is a failure, and no latency."""
    outcome = await _closed(_workload(gateway, transport, (1, 2, 3)))
    assert 0 == len(outcome.latencies_s)
    assert {"class 97 instead of 1", "class 98 instead of 2", "class 99 instead of 3"} == set(outcome.failures)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_refusals_are_told(gateway: Gateway, behind: Neighbours, transport: Transport) -> None:
    """An error of the server is a failure."""
    behind.preprocess.answer = raising(InvalidArgument("Damaged."))
    outcome = await _closed(_workload(gateway, transport))
    assert 0 == len(outcome.latencies_s)
    assert all(failure.startswith("refused: ") for failure in outcome.failures)
    assert outcome.failures


async def test_an_open_loop_counts_from_the_intended_moment(gateway: Gateway, behind: Neighbours) -> None:
    """A server that holds everything back makes all that was due meanwhile late, however few connections there are."""
    release = asyncio.Event()

    async def holds(_request: Any, response: Any) -> Any:
        await release.wait()
        return response

    behind.preprocess.answer = holds
    schedule = np.linspace(0, 0.4, 41)

    def run() -> Outcome:
        engine = Engine(_workload(gateway, "grpc"), 2, {})
        try:
            return engine.open(schedule, 0.0)
        finally:
            engine.close()

    running = asyncio.create_task(asyncio.to_thread(run))
    async with asyncio.timeout(10):
        while len(behind.preprocess.requests) < 1:  # noqa: ASYNC110 (the fake has no event for it)
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)  # what is measured is lateness, so time has to pass
    release.set()
    outcome = await running
    assert [] == outcome.failures
    assert 40 == len(outcome.latencies_s)  # the last one is due at the end of the window
    assert outcome.latencies_s.max() >= 0.4
    assert outcome.latencies_s.min() >= 0.05


def test_arrivals_are_independent_and_as_many_as_asked_for() -> None:
    """The mean gap is that of the rate, and gaps vary as much as they are long."""
    gaps = np.diff(poisson(200, 50))
    assert 10_000 == len(gaps) + 1
    assert 0.005 == pytest.approx(gaps.mean(), rel=0.05)
    assert 0.005 == pytest.approx(gaps.std(), rel=0.05)
