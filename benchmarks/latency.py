"""Measures one client that sends one request after the other, and prints where the time went. Needs a running cluster.

The first line is the limit: the same functions in one process without any server.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino

import triptych
from servicekit.manifest import read_manifest
from services.postprocess.ranking import rank
from services.preprocess.headers import Limits
from services.preprocess.transforms import image_to_array

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "triton_models" / "efficientnet_lite0"
STAGES = ("preprocess", "decode", "inference", "queue", "compute", "postprocess")


def quantiles(call: Callable[[], object], requests: int) -> str:
    """Runs `call` and returns p50, p90 and p99 in milliseconds."""
    for _ in range(20):
        call()
    times_ms = []
    for _ in range(requests):
        start = time.perf_counter()
        call()
        times_ms.append((time.perf_counter() - start) * 1e3)
    cuts = statistics.quantiles(times_ms, n=100)
    return f"p50 {cuts[49]:6.2f}  p90 {cuts[89]:6.2f}  p99 {cuts[98]:6.2f} ms"


def bare_loop(content: bytes) -> Callable[[], object]:
    """Returns decode, resize, inference and ranking in this process."""
    manifest = read_manifest(MODEL)
    network = openvino.Core().compile_model(MODEL / "1" / "model.onnx", "CPU", {"PERFORMANCE_HINT": "LATENCY"})

    def call() -> object:
        pixels = image_to_array(content, manifest.input, Limits()).pixels
        logits = network(pixels[np.newaxis])[0]
        return rank(logits, 1.0, [5], [0.0])

    return call


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, default=ROOT / "tests" / "photographs" / "rocket.jpg")
    parser.add_argument("--server", default="localhost:8081")
    parser.add_argument("--requests", type=int, default=500)
    options = parser.parse_args()
    content = options.image.read_bytes()
    write = sys.stdout.write
    write(f"bare loop      {quantiles(bare_loop(content), options.requests)}\n")
    with triptych.Client(options.server) as client:
        write(f"cluster, gRPC  {quantiles(lambda: client.classify(content), options.requests)}\n")
        timings = [client.classify(content).timing for _ in range(100)]
    for stage in STAGES:
        median = statistics.median(getattr(timing, f"{stage}_ms") for timing in timings)
        write(f"  {stage:<12} {median:6.2f} ms\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
