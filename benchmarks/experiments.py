"""Measures what experiments cost: `python -m benchmarks.experiments --rounds 10`.

Clusters take turns: without the experiments service; with it and no experiment, every prediction logged, as shipped;
with an experiment besides, of two arms with the same version, in which every request has a key of its own; and with a
database that is away. All compute every answer. With `--shadow` one more lets a shadow see a tenth of the requests, and
pays for that.
"""

import sys

import grpc

from benchmarks.cluster import Cluster
from benchmarks.turns import Shape, arguments, compare
from triptych.experiments.v1 import experiment_service_pb2 as pb
from triptych.experiments.v1 import experiment_service_pb2_grpc as pb_grpc
from triptych.experiments.v1.experiment_pb2 import Arm, Experiment, Shadow

MODEL, VERSION = "efficientnet_lite0", "1"
LOGGED = {"TRIPTYCH_PREDICTION_LOG_SHARE": "1"}
AWAY = {**LOGGED, "TRIPTYCH_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}


def shapes(*, shadow: bool) -> dict[str, Shape]:
    """Returns what is compared, what has no experiments first."""
    found = {
        "without": Shape(options=("--no-experiments",)),
        "logged": Shape(variables=LOGGED),
        "experiment": Shape(variables=LOGGED, prepare=lambda running: start(running, shadow=False)),
        "away": Shape(variables=AWAY),
    }
    if shadow:
        found["shadow"] = Shape(variables=LOGGED, prepare=lambda running: start(running, shadow=True))
    return found


def start(running: Cluster, *, shadow: bool) -> None:
    """Starts an experiment on a cluster."""
    experiment = Experiment(
        name="cost",
        model=MODEL,
        arms=[Arm(name=name, version=VERSION, weight=1) for name in ("control", "same")],
        shadows=[Shadow(name="int8", version="2", share=0.1)] if shadow else [],
    )
    with grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
        request = pb.CreateExperimentRequest(experiment=experiment, start=True, actor="benchmark")
        pb_grpc.ExperimentServiceStub(channel).CreateExperiment(request, timeout=10)


def main() -> int:
    """Measures and prints. Returns 1 when an answer was wrong or missing."""
    parser = arguments(__doc__)
    parser.add_argument("--shadow", action="store_true", help="with a shadow, too")
    options = parser.parse_args()
    return compare(shapes(shadow=options.shadow), options)


if __name__ == "__main__":
    sys.exit(main())
