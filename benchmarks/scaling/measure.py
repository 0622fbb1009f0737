"""Measures on this machine what the simulation needs to know of it, and writes it into the file of costs."""

import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bare import Bare
from benchmarks.scaling.hop import measure_hop
from benchmarks.workload import pictures

BATCHES = (1, 2, 4, 8)
SOURCE = "python -m benchmarks.scaling measure"


def refresh(path: Path, rounds: int) -> dict[str, Any]:
    """Replaces what this machine can tell in the file of costs; the rest stays. Returns what it replaced."""
    measured = measure(rounds)
    document = json.loads(path.read_text())
    for name, value in measured.items():
        document[name] = {"value": value, "kind": "measured", "source": SOURCE}
    path.write_text(json.dumps(document, indent=2) + "\n")
    return measured


def measure(rounds: int) -> dict[str, Any]:
    """Returns the costs that one core and one loopback connection show, as fields of `Costs`."""
    bare = Bare(batches=BATCHES)
    contents = [picture.content for picture in pictures()]
    pixels = np.stack([bare.decode(content) for content in contents])
    logits = bare.infer(pixels[:1])
    stacks = {n: np.resize(pixels, (n, *pixels.shape[1:])) for n in BATCHES}
    calls: dict[Any, Callable[[], object]] = {
        **{("decode", i): partial(bare.decode, content) for i, content in enumerate(contents)},
        **{("infer", n): partial(bare.infer, stack) for n, stack in stacks.items()},
        "rank": partial(bare.rank, logits),
    }
    times = _cpu_ms(calls, rounds)
    image_ms, batch_ms = np.polyfit(BATCHES, [times["infer", n] for n in BATCHES], 1)
    jpeg_bytes = round(statistics.mean(map(len, contents)))
    hop = measure_hop(jpeg_bytes=jpeg_bytes, tensor_bytes=pixels[0].nbytes)
    return {
        "decode_ms": [round(times["decode", i], 3) for i in range(len(contents))],
        "infer_cpu_batch_ms": round(max(0.0, float(batch_ms)), 3),
        "infer_cpu_image_ms": round(float(image_ms), 3),
        "rank_ms": round(times["rank"], 3),
        "hop_message_ms": hop.message_ms,
        "hop_mb_ms": hop.mb_ms,
        "jpeg_kb": round(jpeg_bytes / 1e3, 1),
        "tensor_kb": pixels[0].nbytes / 1e3,
        "logits_kb": logits.nbytes / 1e3,
    }


def _cpu_ms(calls: dict[Any, Callable[[], object]], rounds: int) -> dict[Any, float]:
    """Returns each call's median; they take turns, so that what else the machine does meets all of them."""
    times: dict[Any, list[float]] = {key: [] for key in calls}
    for index in range(rounds + 5):
        for key, call in calls.items():
            start = time.process_time()
            call()
            if index >= 5:
                times[key].append((time.process_time() - start) * 1e3)
    return {key: statistics.median(column) for key, column in times.items()}
