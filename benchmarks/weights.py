"""Changes an experiment's weights again and again under load: `python -m benchmarks.weights --changes 1000`.

Nothing may fail. Whenever the gateway has had the time to hear of the weights, every key must have the arm that they
give it, which is the one that it had unless another arm's weight grew; parts must be within three standard deviations.
"""

import argparse
import math
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc

from benchmarks import cluster
from benchmarks.workload import pictures
from gateway.routing import Arm, draw
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc
from triptych.classification.v1.classification_pb2 import Image
from triptych.experiments.v1 import experiment_pb2
from triptych.experiments.v1 import experiment_service_pb2 as experiments_pb
from triptych.experiments.v1 import experiment_service_pb2_grpc as experiments_grpc

NAME, MODEL = "weights", "efficientnet_lite0"
VERSIONS = {"one": "1", "two": "2"}
HEARD_S = 2.5
"""After which every gateway knows of a change: two seconds, and what a request takes."""
SIGMAS = 3.0


@dataclass
class Seen:
    """Counts what happened."""

    answers: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    misdealt: int = 0
    """Keys that had another arm than the weights give them."""
    widest_sigmas: float = 0.0
    """Farthest that an arm's part was from its weight's, in standard deviations."""

    @property
    def good(self) -> bool:
        """Says whether all is as promised."""
        return bool(self.answers) and not self.failures and not self.misdealt and self.widest_sigmas <= SIGMAS


class Asker:
    """Asks a gateway with keys of its own."""

    def __init__(self, channel: grpc.Channel, seen: Seen) -> None:
        self._stub = pb_grpc.ClassificationServiceStub(channel)
        self._request = pb.ClassifyRequest(images=[Image(content=pictures()[0].content)], top_k=1)
        self._seen = seen

    def arm(self, key: str) -> str:
        """Returns the arm of a key; empty where the request failed, which is counted."""
        try:
            answer = self._stub.Classify(self._request, timeout=10, metadata=(("x-route-key", key),))
        except grpc.RpcError as error:
            self._seen.failures[str(error.code())] += 1
            return ""
        self._seen.answers += 1
        (result,) = answer.results
        if result.version != VERSIONS.get(result.arm):
            self._seen.failures[f"arm {result.arm!r} answered by version {result.version!r}"] += 1
        return str(result.arm)


def check(asker: Asker, seen: Seen, salt: str, weights: Mapping[str, float], keys: int) -> None:
    """Asks with many keys, once the weights are known, and compares."""
    time.sleep(HEARD_S)
    arms = [Arm(name, VERSIONS[name], weight) for name, weight in weights.items()]
    wanted = {key: draw(arms, f"{NAME}/{salt}", key).name for key in (f"key-{number}" for number in range(keys))}
    dealt = {key: asker.arm(key) for key in wanted}
    seen.misdealt += sum(dealt[key] != arm for key, arm in wanted.items())
    part = weights["two"] / sum(weights.values())
    off = sum(arm == "two" for arm in dealt.values()) / keys - part
    seen.widest_sigmas = max(seen.widest_sigmas, abs(off) / math.sqrt(part * (1 - part) / keys))


def run(port: int, changes: int, keys: int = 1000, checks: int = 10, clients: int = 3) -> Seen:
    """Runs the experiment on the gateway at a port of this machine, and ends it.

    Args:
        port: the gateway's, for gRPC.
        changes: of the weights.
        keys: that are asked with at each check.
        checks: of all keys, at even distances.
        clients: that ask meanwhile.
    """
    seen, over = Seen(), threading.Event()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        admin = experiments_grpc.ExperimentServiceStub(channel)
        salt, asker = _create(admin), Asker(channel, seen)

        def load(client: int) -> None:
            chance = random.Random(client)  # noqa: S311 (no secret)
            while not over.is_set():
                asker.arm(f"key-{chance.randrange(keys)}")

        time.sleep(HEARD_S)
        threads = [threading.Thread(target=load, args=(client,)) for client in range(clients)]
        for thread in threads:
            thread.start()
        try:
            for check_number in range(checks):
                weights = _change(admin, changes // checks, seed=check_number)
                check(asker, seen, salt, weights, keys)
        finally:
            over.set()
            for thread in threads:
                thread.join()
            admin.StopExperiment(experiments_pb.StopExperimentRequest(name=NAME, reason="It is over."), timeout=10)
    return seen


def _create(admin: experiments_grpc.ExperimentServiceStub) -> str:
    arms = [experiment_pb2.Arm(name=name, version=version, weight=1) for name, version in VERSIONS.items()]
    experiment = experiment_pb2.Experiment(name=NAME, model=MODEL, arms=arms)
    request = experiments_pb.CreateExperimentRequest(experiment=experiment, start=True, actor="benchmark")
    return str(admin.CreateExperiment(request, timeout=10).experiment.salt)


def _change(admin: experiments_grpc.ExperimentServiceStub, changes: int, seed: int) -> dict[str, float]:
    """Changes the weights so many times, and returns the last ones."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    weights: dict[str, float] = {}
    for _ in range(changes):
        weights = {name: chance.uniform(0.5, 10) for name in VERSIONS}
        request = experiments_pb.SetWeightsRequest(name=NAME, weights=weights, actor="benchmark", reason="A change.")
        admin.SetWeights(request, timeout=10)
    return weights


def main() -> int:
    """Runs and prints. Returns 1 unless all is as promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=1000)
    options = parser.parse_args()
    with cluster.running() as running:
        began = time.monotonic()
        seen = run(running.grpc_port, options.changes)
        took_s = time.monotonic() - began
    sys.stdout.write(
        f"{options.changes} changes in {took_s:.0f} s, {seen.answers} requests, {sum(seen.failures.values())} failed "
        f"{dict(seen.failures) or ''}, {seen.misdealt} keys misdealt, parts within {seen.widest_sigmas:.2f} sigma\n"
    )
    return 0 if seen.good else 1


if __name__ == "__main__":
    sys.exit(main())
