"""What a model costs through the engine that serves: time, memory, bytes, arithmetic."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np

from modelkit.engine import compiled, float_precision, int8_convolutions
from modelkit.evaluate.macs import count_macs
from modelkit.evaluate.memory import measure_memory
from servicekit.manifest import Recipe

BATCHES = (1, 8)
_PASSES = 200
_WARM = 5
_LONGEST_S = 3.0
"""Large models are timed less often."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Is what a model costs on this machine, on one thread of OpenVINO."""

    engine: str
    """Its version, and the type in which it computes float operations here."""
    latency_ms: dict[str, float]
    """By batch size: processor time of one picture, the median."""
    resident_bytes: int
    """Of a process with Python, OpenVINO and this model."""
    model_bytes: int
    """Of these, what the model added."""
    file_bytes: int
    macs: int
    """Multiply-accumulates of one picture."""
    int8_convolutions: str
    """How many of its convolutions OpenVINO computes in INT8."""


def measure_cost(file: Path, recipe: Recipe) -> Cost:
    """Measures one ONNX file.

    Args:
        file: the ONNX file.
        recipe: what it takes.
    """
    data = file.read_bytes()
    memory = measure_memory(file, recipe)
    small, convolutions = int8_convolutions(data)
    return Cost(
        engine=f"OpenVINO {metadata.version('openvino')}, floats in {float_precision()}",
        latency_ms={str(batch): round(latency_ms(data, recipe, batch), 4) for batch in BATCHES},
        resident_bytes=memory.total,
        model_bytes=memory.model,
        file_bytes=len(data),
        macs=count_macs(data, recipe),
        int8_convolutions=f"{small} of {convolutions}",
    )


def latency_ms(model: bytes, recipe: Recipe, batch: int) -> float:
    """Returns the median processor time of one picture, in batches of this size, at most 8, on one thread."""
    return latencies_ms({"": model}, recipe, batch)[""]


def latencies_ms(models: Mapping[str, bytes], recipe: Recipe, batch: int) -> dict[str, float]:
    """Times several models in turns, so that a change of the machine's speed is a change for all.

    Args:
        models: ONNX files by name.
        recipe: what they take.
        batch: pictures at once, at most 8.

    Returns:
        By name: the median processor time of one picture, in milliseconds, on one thread.
    """
    engines = {name: compiled(data, threads=1) for name, data in models.items()}
    pictures = np.random.default_rng(0).integers(0, 256, (batch, recipe.height, recipe.width, 3), np.uint8)
    until = time.perf_counter() + _LONGEST_S * len(models)
    times: list[list[float]] = []
    while len(times) <= _WARM or (len(times) < _WARM + _PASSES and time.perf_counter() < until):
        times.append([_timed(partial(answer, pictures)) for answer in engines.values()])
    medians = (1000 * statistics.median(each) / batch for each in zip(*times[_WARM:], strict=True))
    return dict(zip(engines, medians, strict=True))


def _timed(work: Callable[[], object]) -> float:
    """Returns seconds of this process's own time: what other programs take of the machine does not count."""
    begun = time.process_time()
    work()
    return time.process_time() - begun
