"""Loads a running cluster: `python -m benchmarks.load --help`."""

import argparse
import sys
from pathlib import Path

from benchmarks.bare import Bare
from benchmarks.cluster import from_state
from benchmarks.load.engine import Engine, Outcome, poisson
from benchmarks.load.triptych import TRANSPORTS, workload
from benchmarks.processes import memory_bytes
from benchmarks.workload import pictures


def main() -> int:
    """Loads and prints."""
    options = _options()
    cluster = from_state(options.state_dir)
    contents = [picture.content for picture in pictures()]
    bare = Bare(version=options.version or "1")
    expected = tuple(bare.classify(content)[0].index for content in contents)
    target = workload(options.transport, cluster.port(options.transport), contents, expected, options.version)
    engine = Engine(target, options.clients, cluster.processes)
    if options.rate:
        outcome = engine.open(poisson(options.rate, options.seconds + options.warm_up), options.warm_up)
    else:
        outcome = engine.closed(options.warm_up, options.seconds)
    engine.close()
    _show(outcome, {name: memory_bytes(pids) for name, pids in cluster.processes.items()})
    return 1 if outcome.failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Loads a running cluster, checks every answer, and says what it cost.")
    parser.add_argument("--state-dir", type=Path, required=True, help="the cluster's, as of `triptych up`")
    parser.add_argument("--transport", choices=TRANSPORTS, default="grpc")
    parser.add_argument("--version", default="", help="of the model; by default the gateway chooses")
    parser.add_argument("--clients", type=int, default=16, help="connections")
    parser.add_argument("--rate", type=float, help="requests per second, at random moments; by default a closed loop")
    parser.add_argument("--warm-up", type=float, default=2, help="seconds that are not counted")
    parser.add_argument("--seconds", type=float, default=8)
    return parser.parse_args()


def _show(outcome: Outcome, memory: dict[str, int]) -> None:
    write = sys.stdout.write
    quantiles = "  ".join(f"p{100 * share:g} {outcome.quantile_ms(share):.1f}" for share in (0.5, 0.9, 0.99))
    write(f"{outcome.rate:.1f} requests/s   {quantiles} ms   {len(outcome.failures)} failed\n")
    for name, cpu_ms in outcome.cpu_ms.items():
        size = f"   {memory[name] / 2**20:6.0f} MiB" if name in memory else ""
        write(f"  {name:<12} {cpu_ms:6.2f} CPU-ms per request{size}\n")
    server_ms = sum(cpu_ms for name, cpu_ms in outcome.cpu_ms.items() if name != "generator")
    write(f"  {'server':<12} {server_ms:6.2f}\n")
    for failure in outcome.failures[:3]:
        write(f"  {failure}\n")


if __name__ == "__main__":
    sys.exit(main())
