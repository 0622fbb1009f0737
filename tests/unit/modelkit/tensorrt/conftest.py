"""A bench without a GPU, and a stand-in for TensorRT."""

import sys
from pathlib import Path

import pytest
from engine_bench import Bench
from fakes.tensorrt import FakeTensorRT


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Has no GPU."""
    bench = Bench(tmp_path)
    monkeypatch.setenv("PATH", str(bench.programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(bench.cache))
    return bench


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> FakeTensorRT:
    """Stands in for both modules."""
    fake = FakeTensorRT()
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, fake)
    return fake
