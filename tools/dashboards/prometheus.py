"""A real Prometheus, for as long as a proof takes."""

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

START_S = 20.0
MISSING = "There is no `prometheus` here. On Debian and Ubuntu: apt install prometheus (its service may stay disabled)."


class PrometheusError(RuntimeError):
    """Says why there is no Prometheus, or no answer of it."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Is a running server."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        """Returns the data that its API answers with.

        Raises:
            PrometheusError: it refuses, as it does an expression that is wrong.
        """
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as response:  # noqa: S310 (ours)
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise PrometheusError(json.load(error).get("error", str(error))) from None

    def values(self, expr: str) -> list[float]:
        """Returns what an expression yields now, one number per series."""
        return [float(each["value"][1]) for each in self.get("query", query=expr)["result"]]

    def down(self) -> list[str]:
        """Returns the targets that it cannot scrape, and why."""
        targets = self.get("targets", state="active")["activeTargets"]
        return [
            f"{each['scrapeUrl']}: {each['lastError'] or each['health']}" for each in targets if each["health"] != "up"
        ]

    def broken_rules(self) -> list[str]:
        """Returns the rules that it cannot evaluate, and why."""
        rules = [rule for group in self.get("rules")["groups"] for rule in group["rules"]]
        return [
            f"{rule['name']}: {rule.get('lastError') or rule['health']}" for rule in rules if rule["health"] != "ok"
        ]


@contextmanager
def running(folder: Path, targets: Mapping[str, list[str]], rules: Path) -> Iterator[Prometheus]:
    """Runs a server that scrapes every second while the context is open.

    Args:
        folder: for its data.
        targets: addresses by job.
        rules: folder with rule files, which it evaluates every two seconds.

    Raises:
        PrometheusError: it is not installed, or does not start.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise PrometheusError(MISSING)
    configuration = folder / "prometheus.yml"
    configuration.write_text(yaml.safe_dump(_configuration(targets, rules)))
    port = _free_port()
    command = (
        program,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 (found on PATH)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, log)
        yield Prometheus(url)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _configuration(targets: Mapping[str, list[str]], rules: Path) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "2s"},
        "rule_files": [f"{rules.resolve()}/*.yaml"],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": addresses, "labels": {"namespace": "laptop"}}]}
            for job, addresses in targets.items()
        ],
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=1):  # noqa: S310 (ours)
                return
        except OSError:
            time.sleep(0.1)
    raise PrometheusError(f"Prometheus did not start:\n{log.read_text()[-2000:]}")
