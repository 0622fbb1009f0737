"""Runs the pods of the scenario `dev-cpu` with podman, and classifies a photograph: `python -m tools.chart.play`."""

import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import yaml

from tools.chart import helm
from tools.chart.manifests import Workload
from tools.chart.pods import PlayedPod, played
from tools.chart.render import Chart
from tools.containers.command import CommandError
from tools.containers.engine import Engine, EngineError, find_engine
from tools.containers.images import ROOT, build
from tools.containers.machine import build_settings

SCENARIO = "dev-cpu"
IMAGES = ("gateway", "preprocess", "inference", "postprocess", "experiments", "triton-cpu", "models")
STATE = ROOT / ".triptych" / "containers"
PHOTOGRAPH = ROOT / "tests" / "photographs" / "chelsea.png"
LABEL = "tiger cat"
PATIENCE_S = 120
ASK = """
import sys, grpc
from grpc_health.v1 import health_pb2 as pb, health_pb2_grpc as stubs
with grpc.insecure_channel(sys.argv[1]) as channel:
    answer = stubs.HealthStub(channel).Check(pb.HealthCheckRequest(service=sys.argv[2]), timeout=2)
sys.exit(answer.status != pb.HealthCheckResponse.SERVING)
"""
"""What a kubelet's gRPC probe does; it is run in the gateway's pod, which is on the same network."""


class PodError(RuntimeError):
    """Says what the pods did not do."""


class Pods:
    """Is a network, and the pods that were started on it."""

    def __init__(self, engine: Engine, scratch: Path, network: str) -> None:
        self._engine, self._scratch, self._network = engine, scratch, network
        self._down = ExitStack()
        engine("network", "create", network)
        self._down.callback(engine, "network", "rm", "--force", network)

    def play(self, pod: PlayedPod) -> None:
        """Starts a pod that is found under its own name and its aliases."""
        file = self._scratch / f"{pod.name}.yaml"
        file.write_text(yaml.safe_dump_all(pod.documents))
        self._down.callback(self._engine, "kube", "down", str(file))
        names = ",".join(f"alias={alias}" for alias in sorted({pod.name, *pod.aliases}))
        self._engine("kube", "play", "--network", f"{self._network}:{names}", str(file), timeout_s=300)

    def ready(self, pod: PlayedPod, asking: str) -> bool:
        """Says whether a pod answers its readiness probes; `asking` is the container that asks."""
        try:
            for port, service in pod.readiness:
                self._engine("exec", asking, "python", "-c", ASK, f"{pod.aliases[0]}:{port}", service)
        except CommandError:
            return False
        return True

    def ended(self, container: str) -> None:
        """Waits until a container has ended.

        Raises:
            PodError: it did not end well; with what it wrote.
        """
        if self._engine("wait", container, timeout_s=PATIENCE_S).strip() != "0":
            raise PodError(f"{container} failed:\n{self.logs(container)}")

    def logs(self, container: str) -> str:
        """Returns the end of what a container wrote."""
        return self._engine.logs(container, "--tail", "20")

    def down(self) -> None:
        """Removes the pods, the last first, and their network; one that cannot be removed does not keep the others."""
        self._down.close()


def published(pod: PlayedPod, port: int) -> tuple[PlayedPod, int]:
    """Returns the pod with one of its ports published on a free port of this machine, and that port."""
    *maps, manifest = json.loads(json.dumps(pod.documents))
    with socket.create_server(("127.0.0.1", 0)) as free:
        host: int = free.getsockname()[1]
    manifest["spec"]["containers"][0]["ports"] = [{"containerPort": port, "hostPort": host, "hostIP": "127.0.0.1"}]
    return PlayedPod(pod.name, [*maps, manifest], pod.aliases, pod.readiness), host


def post(port: int, path: str, body: bytes, content_type: str = "application/json") -> dict[str, Any]:
    """Returns what the gateway answers over HTTP."""
    request = Request(f"http://127.0.0.1:{port}/api/v1/{path}", body, {"Content-Type": content_type})
    with urlopen(request, timeout=30) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition.

    Raises:
        PodError: it does not come true in time.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise PodError(f"after {PATIENCE_S} s it is still not so that {what}")
        time.sleep(0.5)


def prove(engine: Engine, scratch: Path) -> None:
    """Plays the scenario's pods, waits until all are ready, classifies, and runs the pod of `helm test`.

    Raises:
        PodError: something was not as the chart promises.
    """
    release = f"triptych-{os.getpid()}"
    rendering = Chart(helm.installed()).rendering(SCENARIO, release=release)
    running = Pods(engine, scratch, release)
    try:
        ours = [played(rendering, workload, scratch) for workload in rendering.serving]
        gateway, port = published(next(pod for pod in ours if pod.name.endswith("-gateway")), 8080)
        for pod in [gateway, *(pod for pod in ours if pod.name != gateway.name)]:
            running.play(pod)
            _say(f"ok   {pod.name} runs as {', '.join(pod.aliases)}")
        for pod in ours:
            until(lambda pod=pod: running.ready(pod, f"{gateway.name}-gateway"), f"{pod.name} is ready")  # type: ignore[misc]
        _say("ok   every readiness probe is answered")
        answer = post(port, "classify", PHOTOGRAPH.read_bytes(), "image/png")
        if (label := answer["predictions"][0]["label"]) != LABEL:
            raise PodError(f"the photograph of a cat is said to be {label!r}")
        _say(f"ok   {PHOTOGRAPH.name} is classified through the gateway's port: {label}")
        told = {"prediction_id": answer["prediction_id"], "label": LABEL}
        if (taken := post(port, "feedback", json.dumps(told).encode())) != {"accepted": 1}:
            raise PodError(f"feedback on the photograph is answered {taken}")
        _say("ok   feedback on it is kept by the experiments service, in the volume that its claim would be")
        test = next(Workload(item) for item in rendering.of("Pod"))
        running.play(played(rendering, test, scratch))
        running.ended(f"{test.name}-classify")
        _say("ok   the pod of `helm test` classifies its photograph over HTTP and gRPC")
    finally:
        running.down()
        _say("ok   everything is taken down")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int | str:
    """Runs everything. Returns the exit code, or what is wrong."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that everything is taken down
    try:
        engine = find_engine(STATE)
        if engine.name != "podman":
            return "only podman runs the pods of Kubernetes manifests: this machine has docker"
        for target in IMAGES:
            build(engine, build_settings(STATE), target)  # what is as it was is not built again
        with tempfile.TemporaryDirectory() as scratch:
            prove(engine, Path(scratch))
    except (EngineError, CommandError, PodError, helm.HelmError) as error:
        return str(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
