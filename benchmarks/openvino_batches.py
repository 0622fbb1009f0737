"""Measures what a model compiled for a fixed batch gains over one compiled for any, on OpenVINO and without Triton.

    python -m benchmarks.openvino_batches

Both infer in turns, on one thread, so that what else the machine does meets both.
"""

import statistics
import sys
import time
from typing import Any

import numpy as np
import openvino as ov

from benchmarks.workload import ROOT

MODEL = ROOT / "triton_models" / "efficientnet_lite0" / "1" / "model.onnx"
SIZES = (1, 2, 4, 8)
SIDE, ROUNDS = 224, 20
SETTINGS = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}


def compile_for(size: int) -> Any:
    """Returns an infer request of the model for batches of `size`, -1 for any."""
    core = ov.Core()
    model = core.read_model(MODEL)
    model.reshape([size, SIDE, SIDE, 3])
    return core.compile_model(model, "CPU", SETTINGS).create_infer_request()


def image_ms(request: Any, images: Any) -> float:
    """Runs one inference and returns its CPU milliseconds per image."""
    begin = time.process_time()
    request.infer([images])
    return (time.process_time() - begin) * 1e3 / len(images)


def main() -> int:
    """Measures and prints medians."""
    free = compile_for(-1)
    sys.stdout.write("images  fixed, CPU-ms  any, CPU-ms   fixed/any\n")
    for size in SIZES:
        fixed, images = compile_for(size), np.random.default_rng(size).integers(0, 255, (size, SIDE, SIDE, 3), np.uint8)
        for request in (fixed, free):
            request.infer([images])
        pairs = [(image_ms(fixed, images), image_ms(free, images)) for _ in range(ROUNDS)]
        a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
        sys.stdout.write(f"{size:6}  {a:13.2f}  {b:11.2f}  {a / b:10.2f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
