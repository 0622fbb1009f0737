"""The chart's training Job: the command line of its Pods, in two processes that play two of them on this machine."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from candidates import LABELS, colour_picture
from fakes.servers import eventually, free_port

from modelkit.data.importing import Import, import_dataset
from modelkit.train.journal import read_metrics
from modelkit.train.recipe import load_recipe
from tools.chart import helm
from tools.chart.manifests import Manifest, Workload
from tools.chart.render import Chart, parse

pytestmark = [pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "modelkit" / "recipes" / "fashion_mnist_smoke.yaml"
RUN = "fashion_mnist_smoke"
LONGEST_S = 240


@pytest.fixture(scope="module")
def objects() -> list[Manifest]:
    """Renders the scenario `training`."""
    chart = Chart(helm.installed())
    return list(parse(chart.text(chart.scenarios()["training"])))


@pytest.fixture
def place(tmp_path: Path, objects: list[Manifest]) -> Path:
    """Makes the folders that the Pods mount: a data set of the recipe's name, and the recipe out of the ConfigMap."""
    recipe = next(item["data"]["recipe.yaml"] for item in objects if "recipe.yaml" in item.get("data", {}))
    for name in ("recipes", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "recipes" / "recipe.yaml").write_text(recipe)
    for split in ("train", "test"):
        for index in range(384 if split == "train" else 32):
            label = LABELS[index % len(LABELS)]
            folder = tmp_path / "pictures" / split / label
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{index}.png").write_bytes(colour_picture(label, index, side_px=28))
    import_dataset(tmp_path / "datasets", Import("fashion_mnist", tmp_path / "pictures"))
    return tmp_path


def _command(objects: list[Manifest], place: Path, index: int, port: int, runs: str) -> list[str]:
    """Returns what a worker runs, with our folders for the mounts and loopback for the name of worker 0."""
    job = next(item for item in objects if item["kind"] == "Job")
    [container] = Workload(job).containers
    program, *words = list[str]([*container["command"], *container["args"]])
    mounts = "|".join(mount["mountPath"] for mount in container["volumeMounts"])
    words = [re.sub(rf"^((?:--\w+=)?)({mounts})\b", rf"\g<1>{place}\g<2>", word) for word in words]
    words = [word.replace(f"{place}/runs", f"{place}/{runs}") for word in words]
    words = [word.replace("$(JOB_COMPLETION_INDEX)", str(index)) for word in words]
    words = [re.sub("(?<=^--master-addr=).*", "127.0.0.1", word) for word in words]
    words = [re.sub("(?<=^--master-port=).*", str(port), word) for word in words]
    return [str(Path(sys.executable).parent / program), *words]


@contextmanager
def _workers(objects: list[Manifest], place: Path, *runs: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Starts a worker for each folder of runs, where nothing but what is mounted is to be written to."""
    port, started = free_port(), list[subprocess.Popen[str]]()
    try:
        for index, folder in enumerate(runs):
            command = _command(objects, place, index, port, folder)
            output, cwd = subprocess.PIPE, place / "empty"
            started.append(subprocess.Popen(command, cwd=cwd, stdout=output, stderr=subprocess.STDOUT, text=True))
        yield started
    finally:
        for worker in started:
            _kill(worker)
            worker.communicate()


def _kill(worker: subprocess.Popen[str]) -> None:
    """Ends torchrun and what it started all at once, as a node does that fails."""
    if worker.poll() is None:
        for process in [worker.pid, *_children(worker.pid)]:
            os.kill(process, signal.SIGKILL)


def _children(parent: int) -> list[int]:
    """Returns the processes that a process started; torchrun gives each of them a session of its own."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            if parent == int(status.read_text().rpartition(")")[2].split()[1]):
                found.append(int(status.parent.name))
    return found


def test_the_recipe_is_the_smoke_recipe(place: Path) -> None:
    """What the chart's scenario trains is what the documents name."""
    assert load_recipe(SMOKE) == load_recipe(place / "recipes" / "recipe.yaml")


async def test_a_worker_is_killed_and_both_go_on(place: Path, objects: list[Manifest]) -> None:
    """Worker 1 is killed after a checkpoint, so worker 0 fails by itself; the same two commands end the run.

    At the second start worker 1 sees no checkpoint, as a volume may show nothing yet of what another node wrote.
    """
    folder = place / "runs" / RUN
    with _workers(objects, place, "runs", "runs") as (first, second):
        await eventually((folder / "checkpoint.pt").exists, LONGEST_S)
        _kill(second)
        assert 0 != first.wait(LONGEST_S)
    assert not (folder / "result.json").exists()

    with _workers(objects, place, "runs", "behind") as workers:
        told = [worker.communicate(timeout=LONGEST_S)[0] for worker in workers]
        assert [0, 0] == [worker.returncode for worker in workers], told
    assert 2 == json.loads((folder / "environment.json").read_text())["processes"]
    assert [6, 12, 18] == [line["step"] for line in read_metrics(folder, "test")]
    assert 18 == json.loads((folder / "result.json").read_text())["steps"]
    assert [] == list((place / "empty").iterdir())
