"""What is claimed, each with its figure: the median over the rounds of a ratio taken within each round."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.report.measurement import Measurement, Round
from benchmarks.report.systems import APART, BEST, CACHED, COLOCATED


@dataclass(frozen=True, slots=True)
class Claim:
    """Is a figure and what it should be."""

    text: str
    figure: float
    goal: float
    at_least: bool
    """Whether the goal is a lower bound; otherwise it is an upper one."""
    unit: str = ""

    @property
    def met(self) -> bool:
        """Says whether the goal is reached."""
        return self.figure >= self.goal if self.at_least else self.figure <= self.goal


def claims(rounds: Sequence[Round], rivals: Sequence[str]) -> list[Claim]:
    """Returns every claim that the rounds can tell something about."""
    found: list[Claim] = []

    def add(text: str, goal: float, ratio: Callable[[Round], float | None], *, at_least: bool, unit: str = "") -> None:
        figures = [figure for each in rounds if (figure := ratio(each)) is not None]
        if figures:
            found.append(Claim(text, statistics.median(figures), goal, at_least, unit))

    for name, transport, goal in ((APART, "grpc", 0.90), (APART, "http", 0.85), (COLOCATED, "grpc", 0.96)):
        add(f"{name}, {transport}: throughput / limit", goal, _throughput(name, transport), at_least=True)
    for name, goal in ((APART, 1.15), (COLOCATED, 1.05)):
        add(f"{name}, grpc: server CPU / limit", goal, _cpu(name, "grpc"), at_least=False)
    add("Best, http: throughput / best rival's", 1.4, lambda each: _against(each, rivals, _rate), at_least=True)
    add(
        "Best, http: server CPU / best rival's",
        0.7,
        lambda each: _against(each, rivals, _server_cpu_ms),
        at_least=False,
    )
    for name, goal_ms in ((APART, 4.0), (COLOCATED, 1.5)):
        add(f"{name}, grpc, idle: p50 - bare p50", goal_ms, _idle(name), at_least=False, unit=" ms")
        add(f"{name}, grpc, idle: p99 / p50", 2.0, _of(name, "grpc", "1", _spread), at_least=False)
        add(f"{name}, grpc, 4 clients: cores busy", 1.9, _of(name, "grpc", "4", _cores), at_least=True)
        add(f"{name}, grpc, 70 % load: p99 / bare p50", 5.0, _loaded(name), at_least=False)
    add("JSON with base64: CPU / raw bytes'", 1.15, _json_cpu, at_least=False)
    for transport in ("grpc", "http"):
        hit = _of(CACHED, transport, "16", _server_cpu_ms)
        add(f"Cache hit, {transport}: server CPU", 0.4, hit, at_least=False, unit=" ms")
    return found


def _rate(measurement: Measurement) -> float:
    return measurement.rate


def _server_cpu_ms(measurement: Measurement) -> float:
    return measurement.server_cpu_ms


def _spread(measurement: Measurement) -> float:
    return measurement.p99_ms / measurement.p50_ms


def _cores(measurement: Measurement) -> float:
    return measurement.cores_busy


def _of(
    name: str, transport: str, load: str, figure: Callable[[Measurement], float]
) -> Callable[[Round], float | None]:
    def ratio(each: Round) -> float | None:
        found = each.find(name, transport, load)
        return None if found is None else figure(found)

    return ratio


def _throughput(name: str, transport: str) -> Callable[[Round], float | None]:
    def ratio(each: Round) -> float | None:
        best = each.best(name, transport)
        return None if best is None else best.rate / each.limit_rate

    return ratio


def _cpu(name: str, transport: str) -> Callable[[Round], float | None]:
    def ratio(each: Round) -> float | None:
        best = each.best(name, transport)
        return None if best is None else best.server_cpu_ms / each.limit_cpu_ms

    return ratio


def _idle(name: str) -> Callable[[Round], float | None]:
    def difference(each: Round) -> float | None:
        found = each.find(name, "grpc", "1")
        return None if found is None else found.p50_ms - each.bare_p50_ms

    return difference


def _loaded(name: str) -> Callable[[Round], float | None]:
    def ratio(each: Round) -> float | None:
        found = each.find(name, "grpc", "70%")
        return None if found is None else found.p99_ms / each.bare_p50_ms

    return ratio


def _json_cpu(each: Round) -> float | None:
    json, raw = each.find(APART, "json", "16"), each.find(APART, "http", "16")
    return None if json is None or raw is None else json.server_cpu_ms / raw.server_cpu_ms


def _against(each: Round, rivals: Sequence[str], figure: Callable[[Measurement], float]) -> float | None:
    """Compares with the rival that answers most, over HTTP like all of them."""
    own = each.best(BEST, "http")
    best = max(filter(None, (each.best(rival, "http") for rival in rivals)), key=_rate, default=None)
    return None if own is None or best is None else figure(own) / figure(best)
