"""Measures what Triton adds to the engine: prepared tensors against it, and the same batches in a loop without it.

    python -m benchmarks.prepared

Two requests are under way at any time, one for each instance of the model; the loop is one process for each core.
"""

import argparse
import struct
import sys
import time
from multiprocessing import get_context
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from benchmarks.bare import MODEL, Bare, Pixels
from benchmarks.cluster import Cluster, running
from benchmarks.limit import CORES
from benchmarks.load.engine import Engine, Outcome
from benchmarks.load.exchange import Workload
from benchmarks.load.grpc import Grpc
from benchmarks.workload import pictures

SIZES = (1, 4, 8)
METHOD = "/inference.GRPCInferenceService/ModelInfer"
_WARM_UP_S = 1.0


def loop(size: int, seconds: float, version: str = "1") -> tuple[float, float]:
    """Returns images per second and CPU milliseconds per image of one process for each core, without Triton."""
    context = get_context("spawn")
    ready = context.Barrier(CORES)
    results: Any = context.Queue()
    workers = [context.Process(target=_infer, args=(size, seconds, version, ready, results)) for _ in range(CORES)]
    for worker in workers:
        worker.start()
    counted = [results.get(timeout=seconds + 120) for _ in workers]
    for worker in workers:
        worker.join()
    images = sum(each[0] for each in counted)
    return images / seconds, sum(each[1] for each in counted) * 1e3 / images


def _infer(size: int, seconds: float, version: str, ready: Any, results: Any) -> None:
    bare = Bare(version=version, batches=(size,))
    batch = _batch(bare, size)
    for _ in range(5):
        bare.infer(batch)
    ready.wait(60)
    images, begin, cpu = 0, time.perf_counter(), time.thread_time()
    while time.perf_counter() - begin < seconds:
        bare.infer(batch)
        images += size
    results.put((images, time.thread_time() - cpu))


def served(cluster: Cluster, size: int, clients: int, seconds: float, version: str = "1") -> Outcome:
    """Returns what Triton does with batches of `size`, each in a request of its own."""
    bare = Bare(version=version, batches=(size,))
    batch = _batch(bare, size)
    expected = int(bare.infer(batch)[0].argmax())
    message = request(MODEL.name, batch, version)
    address = ("127.0.0.1", cluster.triton_port)
    workload = Workload(address, lambda: Grpc(METHOD, [message]), top1, (expected,))
    engine = Engine(workload, clients, {"triton": cluster.processes["triton"]})
    try:
        return engine.closed(_WARM_UP_S, seconds)
    finally:
        engine.close()


def _batch(bare: Bare, size: int) -> Pixels:
    contents = [picture.content for picture in pictures()]
    return np.stack([bare.decode(contents[index % len(contents)]) for index in range(size)])


def request(model: str, batch: Pixels, version: str) -> bytes:
    """Returns the message that has Triton infer a batch."""
    tensor = service_pb2.ModelInferRequest.InferInputTensor(name="image", datatype="UINT8", shape=batch.shape)
    message = service_pb2.ModelInferRequest(
        model_name=model, model_version=version, inputs=[tensor], raw_input_contents=[batch.tobytes()]
    )
    serialized: bytes = message.SerializeToString()
    return serialized


def top1(body: bytes) -> int:
    """Reads the best class of a batch's first image from Triton's answer."""
    response = service_pb2.ModelInferResponse.FromString(body)
    classes = response.outputs[0].shape[-1]
    row = struct.unpack_from(f"<{classes}f", response.raw_output_contents[0])
    return max(range(len(row)), key=row.__getitem__)


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4, help="of each")
    parser.add_argument("--version", default="1", help="of the model in the repository")
    options = parser.parse_args()
    sys.stdout.write("images   loop: images/s  CPU-ms   Triton: images/s  CPU-ms   added\n")
    with running() as cluster:
        for size in SIZES:
            rate, cpu_ms = loop(size, options.seconds, options.version)
            outcome = served(cluster, size, 2 * CORES, options.seconds, options.version)
            if outcome.failures:
                raise SystemExit(outcome.failures[0])
            served_rate, served_ms = outcome.rate * size, outcome.cpu_ms["triton"] / size
            figures = f"{rate:14.1f}  {cpu_ms:6.2f}   {served_rate:16.1f}  {served_ms:6.2f}   {served_ms - cpu_ms:5.2f}"
            sys.stdout.write(f"{size:6}   {figures}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
