"""The engine of Triton's `openvino` backend, on a small network and without Triton."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

SOURCE = Path(__file__).parents[3] / "triton_backends" / "openvino"


@pytest.fixture(scope="module")
def backend() -> Iterator[Any]:
    """Imports the backend as its stub does; Triton's own module is never called here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "triton_python_backend_utils", ModuleType("triton_python_backend_utils"))
        patch.syspath_prepend(str(SOURCE))
        import model  # type: ignore[import-not-found]  # by the name that Triton asks for

        yield model
        patch.delitem(sys.modules, "model")


@pytest.fixture(scope="module")
def engine(backend: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Compiles a network that doubles its input, for two streams."""
    path = tmp_path_factory.mktemp("model") / "model.xml"
    image = ops.parameter([-1, 3], np.float32, name="image")
    doubled = ops.multiply(image, ops.constant(np.float32(2)))
    doubled.output(0).set_names({"doubled"})
    image.output(0).set_names({"image"})
    ov.save_model(ov.Model([doubled], [image], "double"), path)
    return backend.Engine(path, {"NUM_STREAMS": 2, "INFERENCE_NUM_THREADS": 2}, fixed_batches=True)


def _batch(rows: int) -> Any:
    return np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 13, 33])
def test_batches_of_any_size_keep_their_order(engine: Any, rows: int) -> None:
    """However a batch is cut into pieces, its rows come back in order."""
    assert np.array_equal(2 * _batch(rows), engine.infer_batch({"image": _batch(rows)})["doubled"])


class _Job:
    """Is an infer request that fails on demand, and knows whether it is busy."""

    def __init__(self, *, start_fails: bool = False, wait_fails: bool = False) -> None:
        self.busy = False
        self._start_fails = start_fails
        self._wait_fails = wait_fails
        self.model_outputs: list[Any] = []

    def start_async(self, _inputs: Any, share_inputs: bool) -> None:
        """Begins."""
        if self._start_fails:
            raise RuntimeError("cannot start")
        self.busy = True

    def wait(self) -> None:
        """Ends."""
        self.busy = False
        if self._wait_fails:
            raise RuntimeError("cannot compute")


@pytest.mark.parametrize(
    ("problem", "jobs"),
    [
        ("cannot start", [_Job(), _Job(), _Job(start_fails=True)]),
        ("cannot compute", [_Job(wait_fails=True), _Job(), _Job()]),
        ("cannot compute", [_Job(), _Job(wait_fails=True), _Job(wait_fails=True)]),
    ],
)
def test_a_failure_leaves_nothing_running(backend: Any, problem: str, jobs: list[_Job]) -> None:
    """Inferences that were started are waited for: they read memory that goes with the failed batch."""
    with pytest.raises(RuntimeError, match=problem):
        backend._run([(job, {"image": _batch(1)}) for job in jobs])

    assert not any(job.busy for job in jobs)


def test_a_failed_batch_is_forgotten(engine: Any) -> None:
    """After inputs that the network refuses, the next batch is inferred as ever."""
    with pytest.raises(Exception, match="incompatible"):
        engine.infer_batch({"image": np.zeros((9, 4), np.float32)})

    assert np.array_equal(2 * _batch(9), engine.infer_batch({"image": _batch(9)})["doubled"])


@pytest.mark.parametrize(
    ("threads", "streams", "parameters", "instances"),
    [
        (8, 2, {}, 1),
        (4, 1, {}, 2),
        (2, 1, {}, 3),
        (1, 1, {}, 99),
        (6, 1, {"INFERENCE_NUM_THREADS": "6"}, 4),
        (4, 3, {"NUM_STREAMS": "3"}, 2),
        (4, 1, {"NUM_STREAMS": "auto"}, 2),
    ],
)
def test_instances_share_the_cores(
    backend: Any,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    streams: int,
    parameters: dict[str, str],
    instances: int,
) -> None:
    """Each takes its part of eight cores, never less than one thread, unless it is told otherwise; none is pinned."""
    monkeypatch.setattr(backend, "usable_cores", lambda: 8)
    settings = backend.cpu_settings(parameters, instances)

    assert (threads, streams, False) == (
        settings["INFERENCE_NUM_THREADS"],
        settings["NUM_STREAMS"],
        settings["ENABLE_CPU_PINNING"],
    )


@pytest.mark.parametrize(
    ("instances", "groups"), [(1, []), (1, [{}]), (3, [{"count": 3}]), (3, [{"count": 2}, {"count": 1}])]
)
def test_all_instances_are_counted(
    backend: Any, monkeypatch: pytest.MonkeyPatch, instances: int, groups: list[dict[str, int]]
) -> None:
    """The instances of every group of the configuration share the cores; a group that names no number has one."""
    seen: list[int] = []
    monkeypatch.setattr(backend, "Engine", lambda *_args, **_named: None)
    monkeypatch.setattr(backend, "cpu_settings", lambda _parameters, count: seen.append(count))
    config = {"input": [], "output": [], "instance_group": groups}
    backend.TritonPythonModel().initialize(
        {"model_config": json.dumps(config), "model_repository": "models", "model_version": "1"}
    )

    assert [instances] == seen


@pytest.mark.parametrize(("cores", "quota"), [(1, "100000 100000"), (1, "50000 100000"), (2, "150000 100000")])
def test_a_containers_quota_bounds_the_cores(
    backend: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cores: int, quota: str
) -> None:
    """A process may keep no more cores busy than its container pays for."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    (tmp_path / "cpu.max").write_text(quota)

    assert cores == backend.usable_cores(tmp_path)


def test_without_a_quota_all_cores_count(backend: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only the affinity bounds them."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    (tmp_path / "cpu.max").write_text("max 100000")

    assert 16 == backend.usable_cores(tmp_path)


@pytest.mark.parametrize(
    ("threads", "environment", "parameters"),
    [("5", "5", {}), ("3", "5", {"INFERENCE_NUM_THREADS": {"string_value": "3"}}), ("", "", {})],
)
def test_the_environment_says_the_threads_unless_the_model_does(
    backend: Any, monkeypatch: pytest.MonkeyPatch, threads: str, environment: str, parameters: dict[str, Any]
) -> None:
    """OPENVINO_THREADS is the default of the model's own parameter."""
    seen: list[dict[str, str]] = []
    monkeypatch.setenv("OPENVINO_THREADS", environment)
    monkeypatch.setattr(backend, "Engine", lambda *_args, **_named: None)
    monkeypatch.setattr(backend, "cpu_settings", lambda given, _count: seen.append(given))
    config = {"input": [], "output": [], "parameters": parameters}
    backend.TritonPythonModel().initialize(
        {"model_config": json.dumps(config), "model_repository": "models", "model_version": "1"}
    )

    assert [{"INFERENCE_NUM_THREADS": threads}] == seen


@pytest.mark.parametrize("wrong", ["many", "0", "-1", "1.5"])
def test_a_wrong_number_of_threads_fails_the_load(backend: Any, wrong: str) -> None:
    """The reason names the parameter, the variable and the value."""
    with pytest.raises(ValueError, match=f"INFERENCE_NUM_THREADS or OPENVINO_THREADS is '{wrong}'"):
        backend.cpu_settings({"INFERENCE_NUM_THREADS": wrong})
