"""Measures what Triton and its OpenVINO backend cost by themselves: a network that computes next to nothing.

    python -m benchmarks.backend

It takes what EfficientNet-Lite0 takes and answers as much, 147 KiB and 4 kB per image, so all that is left is moving,
stacking and waking. Two requests are under way for each instance, as the cluster sends them; and one at a time.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from benchmarks.limit import CORES
from benchmarks.load.engine import Engine, Outcome
from benchmarks.load.exchange import Workload
from benchmarks.load.grpc import Grpc
from benchmarks.prepared import METHOD, request, top1
from benchmarks.processes import children
from localcluster.environment import triton_directory
from localcluster.ports import port_leases
from localcluster.triton_command import LOOPBACK, TritonEndpoints, triton_command
from localcluster.triton_runtime import ensure_runtime

NAME = "nothing"
SIDE, CLASSES = 224, 1000
SIZES = (1, 4, 8)
CONFIG = f"""
name: "{NAME}" backend: "openvino" max_batch_size: 32 version_policy {{ all {{}} }}
input [ {{ name: "image" data_type: TYPE_UINT8 dims: [ {SIDE}, {SIDE}, 3 ] }} ]
output [ {{ name: "logits" data_type: TYPE_FP32 dims: [ {CLASSES} ] }} ]
instance_group [ {{ count: 2 kind: KIND_CPU }} ]
dynamic_batching {{ }}
"""


def lay_out(repository: Path) -> None:
    """Writes a model that copies an image's first numbers into its logits."""
    image = ops.parameter([-1, SIDE, SIDE, 3], np.uint8, name="image")
    flat = ops.reshape(image, ops.constant([0, -1]), special_zero=True)
    few = ops.slice(flat, ops.constant([0]), ops.constant([CLASSES]), ops.constant([1]), ops.constant([1]))
    logits = ops.convert(few, np.float32)
    image.output(0).set_names({"image"})
    logits.output(0).set_names({"logits"})
    folder = repository / NAME / "1"
    folder.mkdir(parents=True)
    ov.save_model(ov.Model([logits], [image], NAME), folder / "model.xml")
    (folder.parent / "config.pbtxt").write_text(CONFIG)


@contextmanager
def running() -> Iterator[tuple[int, list[int]]]:
    """Runs a Triton with the model; yields its port and its processes."""
    with tempfile.TemporaryDirectory(prefix="triptych-bench-") as folder, port_leases() as leases:
        repository, log = Path(folder, "models"), Path(folder, "log")
        lay_out(repository)
        endpoints = TritonEndpoints(leases.take(LOOPBACK), leases.take(LOOPBACK))
        argv, environment = triton_command(ensure_runtime(triton_directory()), repository, endpoints, [NAME])
        with log.open("wb") as output, subprocess.Popen(argv, env=environment, stdout=output, stderr=output) as triton:  # noqa: S603 (ours)
            try:
                while "Started Metrics Service" not in log.read_text():
                    if triton.poll() is not None:
                        raise SystemExit(log.read_text()[-2000:])
                    time.sleep(0.05)
                yield endpoints.grpc_port, children(triton.pid)
            finally:
                triton.terminate()


def measure(port: int, processes: list[int], size: int, clients: int, seconds: float) -> Outcome:
    """Returns what Triton does with batches of `size`, each in a request of its own."""
    batch = np.random.default_rng(size).integers(0, 255, (size, SIDE, SIDE, 3), np.uint8)
    expected = int(batch[0].ravel()[:CLASSES].argmax())
    message = request(NAME, batch, "1")
    workload = Workload((LOOPBACK, port), lambda: Grpc(METHOD, [message]), top1, (expected,))
    engine = Engine(workload, clients, {"triton": processes})
    try:
        return engine.closed(1.0, seconds)
    finally:
        engine.close()


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4, help="of each")
    options = parser.parse_args()
    sys.stdout.write("images  clients  requests/s  CPU-ms per image  p50, ms\n")
    with running() as (port, processes):
        for clients in (1, 2 * CORES):
            for size in SIZES:
                outcome = measure(port, processes, size, clients, options.seconds)
                if outcome.failures:
                    raise SystemExit(outcome.failures[0])
                cpu_ms = outcome.cpu_ms["triton"] / size
                sys.stdout.write(
                    f"{size:6}  {clients:7}  {outcome.rate:10.1f}  {cpu_ms:16.3f}  {outcome.quantile_ms(0.5):7.2f}\n"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
