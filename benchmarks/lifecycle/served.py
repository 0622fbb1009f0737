"""What the published models do in the running cluster: the same answers as offline, and how fast."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.cluster import Cluster
from benchmarks.limit import CORES
from benchmarks.load.engine import Engine
from benchmarks.load.exchange import Workload
from benchmarks.load.grpc import Grpc
from benchmarks.prepared import METHOD, request, top1
from modelkit.data.store import Dataset
from modelkit.engine import compiled
from modelkit.evaluate.pictures import labelled
from modelkit.release.trial import SPLIT, try_models
from modelkit.release.versions import model_bytes
from modelkit.variants import Pictures
from servicekit.manifest import read_manifest
from triptych import Client

_READY_S = 60.0
_CALL = 32
_WARM_UP_S = 1.0

Classes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answers:
    """Is what a served version and the same file in this process answer to the test split."""

    truth: Classes
    served: Classes
    offline: Classes
    seconds: float
    """That the served one took."""

    @property
    def agreement(self) -> int:
        """Returns the number of pictures with the same first class."""
        return int((self.served == self.offline).sum())

    @property
    def top1(self) -> float:
        """Returns the share of pictures that the served version has right."""
        return float((self.served == self.truth).mean())


def wait_until_ready(server: str, model: str, version: str) -> None:
    """Waits until a version takes requests.

    Raises:
        TimeoutError: it does not within a minute.
    """
    begin = time.monotonic()
    with Client(server) as client:
        while time.monotonic() - begin < _READY_S:
            found = [each for served in client.models() if served.name == model for each in served.versions]
            if any(each.version == version and each.ready for each in found):
                return
            time.sleep(0.2)
    raise TimeoutError(f"{model}:{version} is not ready after {_READY_S:g} s")


def ask(server: str, repository: Path, model: str, version: str, dataset: Dataset) -> Answers:
    """Asks the gateway about every picture of the test split, and the version's file in this process."""
    folder = repository / model
    manifest = read_manifest(folder)
    tried = try_models(dataset, manifest.input, {model: model_bytes(folder, manifest, version)})
    images = [record.image for record in labelled(dataset, SPLIT)]
    begin = time.monotonic()
    with Client(server) as client, ThreadPoolExecutor(2 * CORES) as pool:
        calls = [images[start : start + _CALL] for start in range(0, len(images), _CALL)]
        classify = partial(client.classify_many, model=model, version=version, top_k=1, timeout_s=60.0)
        served = [answer.best.index for answers in pool.map(classify, calls) for answer in answers]
    seconds = time.monotonic() - begin
    return Answers(tried.labels, np.asarray(served), tried.answers[model].argmax(axis=1), seconds)


def images_per_second(
    cluster: Cluster, repository: Path, model: str, version: str, batch: Pictures, seconds: float
) -> float:
    """Returns what Triton infers of a prepared batch, asked again and again by two clients for each core."""
    folder = repository / model
    expected = int(compiled(model_bytes(folder, read_manifest(folder), version))(batch)[0].argmax())
    message = request(model, batch, version)
    workload = Workload(("127.0.0.1", cluster.triton_port), lambda: Grpc(METHOD, [message]), top1, (expected,))
    engine = Engine(workload, 2 * CORES, {})
    try:
        outcome = engine.closed(_WARM_UP_S, seconds)
    finally:
        engine.close()
    if outcome.failures:
        raise RuntimeError(outcome.failures[0])
    return outcome.rate * len(batch)


def alike(server: str, model: str, versions: Sequence[str], photographs: Sequence[Path]) -> int:
    """Returns how many photographs have the same first class in all of a model's versions."""
    with Client(server) as client:
        classes = (
            {client.classify(photograph, model=model, version=version).best.index for version in versions}
            for photograph in photographs
        )
        return sum(len(each) == 1 for each in classes)


def best_class(server: str, photograph: Path) -> str:
    """Returns what the gateway's default model sees in a photograph."""
    with Client(server) as client:
        return client.classify(photograph).best.label
