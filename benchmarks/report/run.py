"""Runs rounds: in each, every system has its turn, so that what else the machine does meets all alike."""

import statistics
import sys
import time
from collections.abc import Iterable, Sequence

from benchmarks import limit
from benchmarks.bare import Bare
from benchmarks.load.engine import Engine, Outcome, poisson
from benchmarks.processes import cpu_s, memory_bytes
from benchmarks.report.measurement import Measurement, Round
from benchmarks.report.systems import System, Target
from benchmarks.workload import pictures

OPEN_SHARE = 0.7
OPEN_CONNECTIONS = 128
WARM_UP_S = 1.5


def run_round(systems: Iterable[System], seconds: float) -> Round:
    """Measures the limit and then every system.

    Args:
        systems: those that take part.
        seconds: of each load, the warm-up apart.
    """
    say("the limit")
    best = limit.best(seconds)
    contents = [picture.content for picture in pictures()]
    bare_p50_ms = _bare_p50_ms(Bare(), contents)
    measurements: list[Measurement] = []
    for system in systems:
        measurements += _turn(system, contents, _right(system.truth(), contents), seconds)
    return Round(best.images_per_s, best.cpu_ms, bare_p50_ms, measurements)


def _right(truth: Bare, contents: Sequence[bytes]) -> tuple[int, ...]:
    return tuple(truth.classify(content)[0].index for content in contents)


def _bare_p50_ms(bare: Bare, contents: Sequence[bytes], calls: int = 200) -> float:
    times = []
    for index in range(calls + 20):
        start = time.perf_counter()
        bare.classify(contents[index % len(contents)])
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[20:])


def _turn(system: System, contents: Sequence[bytes], expected: tuple[int, ...], seconds: float) -> list[Measurement]:
    measurements: list[Measurement] = []
    with system.start(contents, expected) as target:
        measurements.append(_at_rest(system, target, seconds))
        for transport, counts in system.closed.items():
            for clients in counts:
                engine = Engine(target.workloads[transport], clients, target.processes)
                outcome = engine.closed(WARM_UP_S, seconds)
                engine.close()
                measurements.append(_describe(system, transport, str(clients), outcome, target))
        if system.open_transport:
            capacity = max(m.rate for m in measurements if m.transport == system.open_transport)
            rate = OPEN_SHARE * capacity
            engine = Engine(target.workloads[system.open_transport], OPEN_CONNECTIONS, target.processes)
            outcome = engine.open(poisson(rate, 2 * seconds + WARM_UP_S), WARM_UP_S)
            engine.close()
            measurements.append(_describe(system, system.open_transport, f"{OPEN_SHARE:.0%}", outcome, target))
    return measurements


def _at_rest(system: System, target: Target, seconds: float) -> Measurement:
    """Measures what a system takes while nobody asks for anything; its CPU is per second, not per answer."""
    before = {name: cpu_s(pids) for name, pids in target.processes.items()}
    time.sleep(seconds / 2)
    cpu_ms = {name: (cpu_s(pids) - before[name]) * 2e3 / seconds for name, pids in target.processes.items()}
    return Measurement(system.name, "", "rest", 0.0, 0.0, 0.0, cpu_ms, _memory(target))


def _describe(system: System, transport: str, load: str, outcome: Outcome, target: Target) -> Measurement:
    measurement = Measurement(
        system.name,
        transport,
        load,
        outcome.rate,
        outcome.quantile_ms(0.5),
        outcome.quantile_ms(0.99),
        outcome.cpu_ms,
        _memory(target),
        len(outcome.failures),
    )
    say(
        f"{system.name:<22} {transport:<5} {load:>4}  {measurement.rate:7.1f}/s  p50 {measurement.p50_ms:7.1f} ms  "
        f"p99 {measurement.p99_ms:7.1f} ms  {measurement.server_cpu_ms:6.2f} CPU-ms  {measurement.failures} failed"
    )
    for failure in outcome.failures[:2]:
        say(f"    {failure}")
    return measurement


def _memory(target: Target) -> dict[str, float]:
    return {name: memory_bytes(pids) / 2**20 for name, pids in target.processes.items()}


def say(text: str) -> None:
    """Tells whoever waits how far it is."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
