"""Measures what telemetry costs: `python -m benchmarks.telemetry --rounds 10`.

Five clusters run at the same time and take turns under a closed loop, in another order in each round, so that what else
the machine does meets all alike: without telemetry, tracing every hundredth request, tracing every one, without tracing
but with a log line for each RPC, and as chart and compose run it once they are told of a collector. The collector is a
process that reads what it gets and throws it away.
"""

import argparse
import multiprocessing
import random
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection

from benchmarks import cluster
from benchmarks.bare import Bare
from benchmarks.load.engine import Engine, Outcome
from benchmarks.load.exchange import Workload
from benchmarks.load.triptych import TRANSPORTS, workload
from benchmarks.report.systems import COMPUTE_ALL
from benchmarks.workload import pictures
from servicekit.settings import ProcessSettings, variable

OFF = "off"
WARM_UP_S = 1.0


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


def variables(collector: str) -> dict[str, dict[str, str]]:
    """Returns the environment of each variant."""
    traced = {"TRIPTYCH_OTLP_ENDPOINT": collector}
    return {
        OFF: {},
        "1 % traced": {**traced, "TRIPTYCH_TRACE_SAMPLE_RATIO": "0.01"},
        "all traced": {**traced, "TRIPTYCH_TRACE_SAMPLE_RATIO": "1"},
        "request log": {"TRIPTYCH_REQUEST_LOG": "true"},
        "as shipped": {**traced, **defaults("request_log", "trace_sample_ratio")},
    }


def defaults(*names: str) -> dict[str, str]:
    """Returns the settings' own values, which neither chart nor compose changes."""
    return {variable(name): str(ProcessSettings.model_fields[name].default) for name in names}


class _Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _collect(port: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    port.send(server.server_port)
    server.serve_forever()


@contextmanager
def collecting() -> Iterator[str]:
    """Runs a collector while the context is open, and yields its address."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_collect, args=(there,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


def server_ms(outcome: Outcome) -> float:
    """Returns the CPU milliseconds per request of all processes of a cluster."""
    return sum(spent for name, spent in outcome.cpu_ms.items() if name != "generator")


def show(variants: dict[str, Variant]) -> None:
    """Prints medians over the rounds, and of the differences from the first variant within each round."""
    bases = variants[OFF].outcomes
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


def _range(shares: list[float]) -> str:
    low, middle, high = statistics.quantiles(shares, n=4) if len(shares) > 1 else (shares[0], shares[0], shares[0])
    return f"{middle:+6.1%}, half of the rounds {low:+.1%} to {high:+.1%}"


def main() -> int:
    """Measures and prints. Returns 1 when an answer was wrong or missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=4, help="of each turn, the warm-up apart")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--transport", choices=TRANSPORTS, default="grpc")
    parser.add_argument("--only", nargs="*", default=[], help="variants to compare with none; by default all")
    parser.add_argument("--colocated", action="store_true")
    options = parser.parse_args()
    contents = [picture.content for picture in pictures()]
    bare = Bare()
    expected = tuple(bare.classify(content)[0].index for content in contents)
    shape = ("--colocated",) if options.colocated else ()
    with ExitStack() as stack:
        collector = stack.enter_context(collecting())
        variants: dict[str, Variant] = {}
        for name, own in variables(collector).items():
            if options.only and name not in (OFF, *options.only):
                continue
            settings = {"TRIPTYCH_REQUEST_LOG": "false", **COMPUTE_ALL, **own}
            running = stack.enter_context(cluster.running(shape, settings))
            port = running.port(options.transport)
            variants[name] = Variant(running, workload(options.transport, port, contents, expected))
        for _ in range(options.rounds):
            for variant in random.sample(list(variants.values()), len(variants)):
                variant.measure(options.clients, options.seconds)
        show(variants)
    return int(any(each.failures for variant in variants.values() for each in variant.outcomes))


if __name__ == "__main__":
    sys.exit(main())
