"""Compares clusters that run at the same time and take turns under a closed loop, in another order in each round.

So what else the machine does meets all of them alike. Each is compared with the first one within each round.
"""

import argparse
import random
import statistics
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks import cluster
from benchmarks.bare import Bare
from benchmarks.load.engine import Engine, Outcome
from benchmarks.load.exchange import Workload
from benchmarks.load.triptych import TRANSPORTS, workload
from benchmarks.report.systems import COMPUTE_ALL
from benchmarks.workload import pictures

WARM_UP_S = 1.0


@dataclass(frozen=True, slots=True)
class Shape:
    """Says how a cluster differs from the others."""

    options: tuple[str, ...] = ()
    """Of `triptych up`."""
    variables: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[cluster.Cluster], None] = lambda _: None
    """Is done once it runs."""


@dataclass
class Variant:
    """Is a cluster with the outcomes of its turns."""

    running: cluster.Cluster
    load: Workload
    outcomes: list[Outcome] = field(default_factory=list)

    def measure(self, clients: int, seconds: float) -> None:
        """Takes one turn."""
        engine = Engine(self.load, clients, self.running.processes)
        self.outcomes.append(engine.closed(WARM_UP_S, seconds))
        engine.close()


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Returns the options that every comparison has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=4, help="of each turn, the warm-up apart")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--transport", choices=TRANSPORTS, default="grpc")
    parser.add_argument("--only", nargs="*", default=[], help="variants to compare with the first; by default all")
    parser.add_argument("--colocated", action="store_true")
    return parser


def compare(shapes: Mapping[str, Shape], options: argparse.Namespace) -> int:
    """Runs, measures and prints. Returns 1 when an answer was wrong or missing."""
    first = next(iter(shapes))
    wanted = {name: shape for name, shape in shapes.items() if not options.only or name in (first, *options.only)}
    contents = [picture.content for picture in pictures()]
    bare = Bare()
    expected = tuple(bare.classify(content)[0].index for content in contents)
    common = ("--colocated",) if options.colocated else ()
    with ExitStack() as stack:
        variants: dict[str, Variant] = {}
        for name, shape in wanted.items():
            settings = {"TRIPTYCH_REQUEST_LOG": "false", **COMPUTE_ALL, **shape.variables}
            running = stack.enter_context(cluster.running((*common, *shape.options), settings))
            shape.prepare(running)
            load = workload(options.transport, running.port(options.transport), contents, expected)
            variants[name] = Variant(running, load)
        for _ in range(options.rounds):
            for variant in random.sample(list(variants.values()), len(variants)):
                variant.measure(options.clients, options.seconds)
    show(variants)
    return int(any(each.failures for variant in variants.values() for each in variant.outcomes))


def show(variants: Mapping[str, Variant]) -> None:
    """Prints medians over the rounds, and of the differences from the first variant within each round."""
    bases = next(iter(variants.values())).outcomes
    for name, variant in variants.items():
        outcomes = variant.outcomes
        rates = [each.rate / base.rate - 1 for each, base in zip(outcomes, bases, strict=True)]
        costs = [server_ms(each) / server_ms(base) - 1 for each, base in zip(outcomes, bases, strict=True)]
        sys.stdout.write(
            f"{name:<12} {statistics.median(each.rate for each in outcomes):7.1f} requests/s ({_range(rates)})"
            f"   {statistics.median(map(server_ms, outcomes)):6.2f} CPU-ms ({_range(costs)})"
            f"   p99 {statistics.median(each.quantile_ms(0.99) for each in outcomes):6.1f} ms"
            f"   {sum(len(each.failures) for each in outcomes)} failed\n"
        )


def server_ms(outcome: Outcome) -> float:
    """Returns the CPU milliseconds per request of all processes of a cluster."""
    return sum(spent for name, spent in outcome.cpu_ms.items() if name != "generator")


def _range(shares: list[float]) -> str:
    low, middle, high = statistics.quantiles(shares, n=4) if len(shares) > 1 else (shares[0], shares[0], shares[0])
    return f"{middle:+6.1%}, half of the rounds {low:+.1%} to {high:+.1%}"
