"""Proves that people see something: every query against a real Prometheus that watched a real cluster under load."""

import asyncio
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.dashboards import load, prometheus, queries
from tools.dashboards.pages import FILES, FOLDER
from tools.dashboards.prometheus import Prometheus, PrometheusError
from tools.dashboards.queries import Asked, metrics

RULES = FILES / "rules"
LOAD_S = 25.0
GPU = "nv_gpu_"
"""How metrics begin that only a Triton on a GPU has: what asks for them is proved where there is one."""
SETTLE_S = 5.0
"""After the load, for the last scrape and the rules that read it."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Is a running cluster."""

    http: str
    grpc: str
    targets: dict[str, list[str]]
    """Addresses of metrics, by the kind of process."""


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Runs a cluster on free ports, with little room, while the context is open."""
    place = ("--state-dir", str(folder))
    _triptych("up", "--detach", "--no-tuned", "--http-port", "0", "--grpc-port", "0", *place)
    try:
        status = json.loads(_triptych("status", "--json", *place))
        targets: dict[str, list[str]] = {}
        for process in status["processes"]:
            targets.setdefault(process["name"], []).append(f"127.0.0.1:{process['ports']['metrics']}")
        yield Cluster(f"http://{status['http'].removeprefix('http://')}", status["grpc"], targets)
    finally:
        _triptych("down", *place)


def _triptych(*arguments: str) -> str:
    command = ["env", f"TRIPTYCH_MAX_IN_FLIGHT={load.ROOM}", sys.executable, "-m", "triptych.cli", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 (ours)
    if done.returncode:
        raise RuntimeError(f"triptych {arguments[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def asked() -> list[Asked]:
    """Returns every query there is to prove."""
    found: list[Asked] = []
    for path in sorted(FOLDER.glob("*.json")):
        found += [*queries.of_dashboard(path), *queries.of_variables(path)]
    for path in sorted(RULES.glob("*.yaml")):
        found += queries.of_rules(path)
    return found


def provable(found: list[Asked], *, gpu: bool) -> tuple[list[Asked], list[Asked]]:
    """Returns the queries that can be proved here, and those that want a GPU where there is none."""
    unproved = [query for query in found if not gpu and any(name.startswith(GPU) for name in metrics(query.expr))]
    return [query for query in found if query not in unproved], unproved


def answered(server: Prometheus, query: Asked) -> str:
    """Returns what is wrong with a query's answer, or nothing."""
    try:
        values = server.values(query.expr)
    except PrometheusError as error:
        return f"{query.where}: {error}"
    if not any(not math.isnan(value) for value in values):
        return f"{query.where}: no data\n    {query.expr}"
    return ""


async def check() -> list[str]:
    """Runs everything and returns what is wrong, a text for each; tells on the way what it does."""
    with tempfile.TemporaryDirectory(prefix="triptych-dashboards-") as name:
        folder = Path(name)
        _say("starting a cluster")
        with (
            running_cluster(folder / "state") as cluster,
            prometheus.running(folder, cluster.targets, RULES) as server,
        ):
            _say(f"scraping {sum(map(len, cluster.targets.values()))} processes; load for {LOAD_S:g} s")
            ended = await load.run(cluster.http, cluster.grpc, LOAD_S)
            _say(", ".join(f"{how}: {count}" for how, count in sorted(ended.items())))
            await asyncio.sleep(SETTLE_S)
            all_queries, unproved = provable(asked(), gpu=bool(server.values("nv_gpu_utilization")))
            problems = [problem for query in all_queries if (problem := answered(server, query))]
            _say(f"{len(all_queries)} queries, {len(problems)} of them without data")
            for query in unproved:
                _say(f"not proved, for want of a GPU: {query.where}")
            return [*server.down(), *server.broken_rules(), *problems]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
