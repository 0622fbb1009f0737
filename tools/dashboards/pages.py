"""The dashboards' files, as the chart and compose read them."""

import json
from pathlib import Path

from tools.dashboards.capacity import CAPACITY
from tools.dashboards.experiments import EXPERIMENTS
from tools.dashboards.grafana import Dashboard
from tools.dashboards.latency import LATENCY
from tools.dashboards.overview import OVERVIEW
from tools.dashboards.triton import TRITON

FILES = Path(__file__).parents[2] / "helm" / "triptych" / "files"
FOLDER = FILES / "dashboards"
DASHBOARDS: dict[str, Dashboard] = {
    "overview": OVERVIEW,
    "latency": LATENCY,
    "triton": TRITON,
    "capacity": CAPACITY,
    "experiments": EXPERIMENTS,
}


def texts() -> dict[Path, str]:
    """Returns what each file must hold."""
    return {
        FOLDER / f"{name}.json": json.dumps(dashboard.render(), indent=1) + "\n"
        for name, dashboard in DASHBOARDS.items()
    }


def write() -> None:
    """Writes the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in texts().items():
        path.write_text(text)


def outdated() -> list[str]:
    """Returns the names of files that are not as they must be, or too many."""
    wanted = texts()
    found = {path: path.read_text() for path in FOLDER.glob("*.json")}
    return sorted(path.name for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))
