"""What is claimed, each with its figure: the median over the rounds of a ratio taken within each round."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.report.measurement import APART, BEST, CACHED, COLOCATED, Measurement, Round
from benchmarks.rivals.wire import SPLITTING


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


Ratio = Callable[[Round], float | None]
"""Returns a figure of a round; None where the round cannot tell."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Is what is to be reached, and how it is told from a round."""

    text: str
    bound: float
    ratio: Ratio
    at_least: bool = False
    unit: str = ""

    def claim(self, rounds: Sequence[Round]) -> Claim | None:
        """Returns the claim about these rounds; None where they cannot tell."""
        figures = [figure for each in rounds if (figure := self.ratio(each)) is not None]
        return Claim(self.text, statistics.median(figures), self.bound, self.at_least, self.unit) if figures else None


def claims(rounds: Sequence[Round], rivals: Sequence[str]) -> list[Claim]:
    """Returns every claim that the rounds can tell something about."""
    goals = (*_beside_the_limit(), *_beside_rivals(rivals), *_idle_and_loaded(), *_per_request())
    return [claim for goal in goals if (claim := goal.claim(rounds)) is not None]


def _beside_the_limit() -> Iterator[Goal]:
    for name, transport, least in ((APART, "grpc", 0.90), (APART, "http", 0.85), (COLOCATED, "grpc", 0.96)):
        yield Goal(f"{name}, {transport}: throughput / limit", least, _throughput(name, transport), at_least=True)
    for name, most in ((APART, 1.15), (COLOCATED, 1.05)):
        yield Goal(f"{name}, grpc: server CPU / limit", most, _cpu(name, "grpc"))


def _beside_rivals(rivals: Sequence[str]) -> Iterator[Goal]:
    yield Goal("Best, http: throughput / best rival's", 1.4, _against(rivals, _rate), at_least=True)
    yield Goal("Best, http: server CPU / best rival's", 0.7, _against(rivals, _server_cpu_ms))
    yield from _ahead(APART, [rival for rival in rivals if rival in SPLITTING], "splitting rival's")
    yield from _ahead(COLOCATED, rivals, "rival's")
    yield from _ahead(BEST, rivals, "rival's")


def _ahead(name: str, rivals: Sequence[str], whose: str) -> Iterator[Goal]:
    rate, cpu_ms = _hardest(name, rivals, _rate, max), _hardest(name, rivals, _server_cpu_ms, min)
    yield Goal(f"{name}, http: throughput / fastest {whose}", 1.0, rate, at_least=True)
    yield Goal(f"{name}, http: server CPU / thriftiest {whose}", 1.0, cpu_ms)


def _idle_and_loaded() -> Iterator[Goal]:
    for name, most_ms in ((APART, 4.0), (COLOCATED, 1.5)):
        yield Goal(f"{name}, grpc, idle: p50 - bare p50", most_ms, _idle(name), unit=" ms")
        yield Goal(f"{name}, grpc, idle: p99 / p50", 2.0, _of(name, "grpc", "1", _spread))
        yield Goal(f"{name}, grpc, 4 clients: cores busy", 1.9, _of(name, "grpc", "4", _cores), at_least=True)
        yield Goal(f"{name}, grpc, 70 % load: p99 / bare p50", 5.0, _loaded(name))


def _per_request() -> Iterator[Goal]:
    yield Goal("JSON with base64: CPU / raw bytes'", 1.15, _json_cpu)
    for transport in ("grpc", "http"):
        hit = _of(CACHED, transport, "16", _server_cpu_ms)
        yield Goal(f"Cache hit, {transport}: server CPU", 0.4, hit, unit=" ms")


def _rate(measurement: Measurement) -> float:
    return measurement.rate


def _server_cpu_ms(measurement: Measurement) -> float:
    return measurement.server_cpu_ms


def _spread(measurement: Measurement) -> float:
    return measurement.p99_ms / measurement.p50_ms


def _cores(measurement: Measurement) -> float:
    return measurement.cores_busy


def _of(name: str, transport: str, load: str, figure: Callable[[Measurement], float]) -> Ratio:
    def ratio(each: Round) -> float | None:
        found = each.find(name, transport, load)
        return None if found is None else figure(found)

    return ratio


def _throughput(name: str, transport: str) -> Ratio:
    def ratio(each: Round) -> float | None:
        best = each.best(name, transport)
        return None if best is None else best.rate / each.limit_rate

    return ratio


def _cpu(name: str, transport: str) -> Ratio:
    def ratio(each: Round) -> float | None:
        best = each.best(name, transport)
        return None if best is None else best.server_cpu_ms / each.limit_cpu_ms

    return ratio


def _idle(name: str) -> Ratio:
    def difference(each: Round) -> float | None:
        found = each.find(name, "grpc", "1")
        return None if found is None else found.p50_ms - each.bare_p50_ms

    return difference


def _loaded(name: str) -> Ratio:
    def ratio(each: Round) -> float | None:
        found = each.find(name, "grpc", "70%")
        return None if found is None else found.p99_ms / each.bare_p50_ms

    return ratio


def _json_cpu(each: Round) -> float | None:
    json, raw = each.find(APART, "json", "16"), each.find(APART, "http", "16")
    return None if json is None or raw is None else json.server_cpu_ms / raw.server_cpu_ms


def _hardest(
    name: str,
    rivals: Sequence[str],
    figure: Callable[[Measurement], float],
    hardest: Callable[[Iterable[float]], float],
) -> Ratio:
    """Compares with the rival that is hardest to beat in this figure, over HTTP like all of them."""

    def ratio(each: Round) -> float | None:
        own = each.best(name, "http")
        theirs = [figure(best) for rival in rivals if (best := each.best(rival, "http")) is not None]
        return None if own is None or not theirs else figure(own) / hardest(theirs)

    return ratio


def _against(rivals: Sequence[str], figure: Callable[[Measurement], float]) -> Ratio:
    """Compares with the rival that answers most, over HTTP like all of them."""

    def ratio(each: Round) -> float | None:
        own = each.best(BEST, "http")
        best = max(filter(None, (each.best(rival, "http") for rival in rivals)), key=_rate, default=None)
        return None if own is None or best is None else figure(own) / figure(best)

    return ratio
