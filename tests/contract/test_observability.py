"""What Prometheus, Grafana and the collector read beside docker-compose.yml."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from contract.compose import SERVICES

ROOT = Path(__file__).parents[2]
OBSERVABILITY = ROOT / "observability"
RULES = ROOT / "helm" / "triptych" / "files" / "rules"
PROMTOOL = shutil.which("promtool")


def _read(name: str) -> Any:
    return yaml.safe_load((OBSERVABILITY / name).read_text())


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt install prometheus")
def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    """Its own checker finds the configuration right, with the rules where compose mounts them."""
    shutil.copy(OBSERVABILITY / "prometheus.yml", tmp_path)
    shutil.copytree(RULES, tmp_path / "rules")
    command = (str(PROMTOOL), "check", "config", str(tmp_path / "prometheus.yml"))
    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (0, "") == (checked.returncode, checked.stderr)


def test_every_process_is_scraped() -> None:
    """Each service has a name on one network, by which all its replicas are found, once, at its own port."""
    scraped = {
        (name, found["port"])
        for job in _read("prometheus.yml")["scrape_configs"]
        for found in job["dns_sd_configs"]
        for name in found["names"]
    }

    ours = {(f"{name}-metrics", 9464) for name in SERVICES}
    assert ours | {("triton-metrics", 8002)} == scraped


def test_traces_go_on_to_jaeger() -> None:
    """The collector listens where processes send to, and its one pipeline ends at Jaeger."""
    found = _read("otel-collector.yaml")
    pipeline = found["service"]["pipelines"]["traces"]

    assert "0.0.0.0:4318" == found["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert ["jaeger:4317"] == [found["exporters"][name]["endpoint"] for name in pipeline["exporters"]]


def test_the_collector_says_how_it_is() -> None:
    """It answers at the address where compose asks it."""
    found = _read("otel-collector.yaml")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    asked = compose["services"]["otel-collector"]["healthcheck"]["test"][-1]

    assert ["health_check"] == found["service"]["extensions"]
    assert f"http://{found['extensions']['health_check']['endpoint']}/" == asked


def test_grafana_finds_its_sources() -> None:
    """Both sources are there under the ids that dashboards use."""
    assert {"prometheus": "http://prometheus:9090", "jaeger": "http://jaeger:16686"} == {
        source["uid"]: source["url"] for source in _read("grafana/datasources.yaml")["datasources"]
    }
