"""The engine of Triton's `openvino` backend, on a small network and without Triton."""

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
