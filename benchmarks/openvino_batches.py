"""Measures what the `openvino` backend gains from models compiled for fixed batches, without Triton.

For each batch size it prints the time per image of the model compiled for exactly that many images, and of the model
compiled once with a free batch. The two take turns, so that what else the machine does meets both.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "triton_models" / "efficientnet_lite0" / "1" / "model.onnx"


def backend() -> Any:
    """Imports the backend; what it calls of Triton's is not needed here."""
    sys.modules["triton_python_backend_utils"] = ModuleType("triton_python_backend_utils")
    sys.path.insert(0, str(ROOT / "triton_backends" / "openvino"))
    import model  # type: ignore[import-not-found]  # noqa: PLC0415 (only found now)

    return model


def image_ms(module: Any, job: Any, images: Any) -> float:
    """Runs one inference and returns its milliseconds per image."""
    start = time.perf_counter()
    module._run([(job, {"image": images})])
    return (time.perf_counter() - start) * 1e3 / len(images)


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    module = backend()
    settings = module.cpu_settings({"NUM_STREAMS": "1"})
    fixed = module.Engine(MODEL, settings, fixed_batches=True)
    free = module.Engine(MODEL, settings, fixed_batches=False)
    sys.stdout.write("images   fixed ms/image   free ms/image   free/fixed\n")
    for size in sorted(module.PIECE_SIZES):
        images = np.random.default_rng(size).integers(0, 256, (size, 224, 224, 3), np.uint8)
        jobs = fixed._jobs[size][0], free._jobs[None][0]
        times = [[image_ms(module, job, images) for job in jobs] for _ in range(options.rounds + 10)][10:]
        a, b = (statistics.median(column) for column in zip(*times, strict=True))
        sys.stdout.write(f"{size:6}   {a:14.2f}   {b:13.2f}   {b / a:10.2f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
