"""docs/metrics.md against a scrape of every process of a real cluster."""

import re
from collections.abc import Iterator

import httpx
from e2e.cluster import PHOTOGRAPHS, ROOT, Cluster
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

PAGE = (ROOT / "docs" / "metrics.md").read_text()
NOT_OURS = ("process_", "python_", "nv_")
NOT_HERE = {"triptych_trace_spans_total"}
"""On the page, and not in a process that has no collector to send to."""
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\|", re.MULTILINE)


def _documented() -> dict[str, tuple[str, set[str]]]:
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in ROW.findall(PAGE)}


def _scraped(cluster: Cluster) -> Iterator[tuple[str, Metric]]:
    """Yields every family of every process, under the name that queries use."""
    for process in cluster.status()["processes"]:
        text = httpx.get(f"http://127.0.0.1:{process['ports']['metrics']}/metrics", timeout=10).text
        for family in text_string_to_metric_families(text):
            counts = family.type == "counter" and not family.name.startswith("nv_")
            yield f"{family.name}_total" if counts else family.name, family


def _labels(family: Metric) -> set[str]:
    return {label for sample in family.samples for label in sample.labels} - {"le"}


def test_the_page_is_what_is_served(cluster: Cluster) -> None:
    """Each metric of ours is on the page with its type, and each on the page is served; Triton's that it names, too."""
    assert 200 == cluster.post((PHOTOGRAPHS / "chelsea.png").read_bytes()).status_code
    documented = _documented()
    scraped = dict(_scraped(cluster))
    ours = {name: family.type for name, family in scraped.items() if not name.startswith(NOT_OURS)}

    assert {
        name: kind for name, (kind, _) in documented.items() if not name.startswith("nv_") and name not in NOT_HERE
    } == ours
    assert {name for name in documented if name.startswith("nv_") and "gpu" not in name} <= scraped.keys()


def test_the_page_names_every_label(cluster: Cluster) -> None:
    """What series are told apart by is on the page, and nothing else is."""
    assert 200 == cluster.post((PHOTOGRAPHS / "chelsea.png").read_bytes()).status_code
    documented = _documented()
    wrong = [
        (name, _labels(family))
        for name, family in _scraped(cluster)
        if name in documented and family.samples and _labels(family) != documented[name][1]
    ]

    assert [] == wrong
