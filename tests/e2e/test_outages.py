"""What happens when a part of the cluster stops: a fast, honest refusal, and recovery by itself."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import httpx
import pytest
from e2e.cluster import PHOTOGRAPHS, Cluster, until

from triptych.classification.v1 import classification_pb2
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1.classification_service_pb2_grpc import ClassificationServiceStub

COFFEE = (PHOTOGRAPHS / "coffee.png").read_bytes()
PARTS = ["triton", "preprocess", "inference", "postprocess"]


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """Holds a process still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def check_refusal(cluster: Cluster) -> None:
    """A request is refused at once, over HTTP and gRPC, with a hint when to come back."""
    start = time.monotonic()
    response = cluster.post(COFFEE)
    took_s = time.monotonic() - start
    error = response.json()["error"]
    assert (503, "UNAVAILABLE") == (response.status_code, error["status"])
    assert error["reason"] in ("DEPENDENCY_UNAVAILABLE", "MODEL_NOT_READY")
    assert "1" == response.headers["Retry-After"]
    assert took_s < 0.5, f"the refusal took {took_s:.3f} s"
    request = pb.ClassifyRequest(images=[classification_pb2.Image(content=COFFEE)])
    with grpc.insecure_channel(cluster.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        ClassificationServiceStub(channel).Classify(request, timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_killed(part: str, cluster: Cluster) -> None:
    """Without the part: not ready within 2 s, refusals at once; with it restarted: ready again, and answers."""
    with paused(cluster.status()["supervisor"]["pid"]):  # or it would be back before anybody looked
        os.kill(cluster.pid(part), signal.SIGKILL)
        until(lambda: not cluster.ready(), within_s=2)
        check_refusal(cluster)
        assert httpx.get(f"{cluster.http}/healthz").status_code == 200
    until(cluster.ready, within_s=20)
    assert 200 == cluster.post(COFFEE).status_code


@pytest.mark.parametrize("part", PARTS)
def test_a_part_hangs(part: str, cluster: Cluster) -> None:
    """A process that keeps its connections but answers nothing is found out within 2 s, and used again when awake."""
    with paused(cluster.pid(part)):
        until(lambda: not cluster.ready(), within_s=2)
        check_refusal(cluster)
    until(cluster.ready, within_s=10)
    assert 200 == cluster.post(COFFEE).status_code


def test_a_crashed_process_is_restarted_and_it_is_said(cluster: Cluster) -> None:
    """Killing a service raises its count of restarts, and its successor listens where it did."""
    before = cluster.process("postprocess")
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: cluster.process("postprocess")["restarts"] == before["restarts"] + 1, within_s=10)
    until(cluster.ready, within_s=10)
    assert before["ports"]["grpc"] == cluster.process("postprocess")["ports"]["grpc"]
