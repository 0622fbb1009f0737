"""What Triton does not tell: it calls itself and its models ready while the processes that compute are dead."""

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest
from e2e.cluster import Cluster, until
from e2e.test_outages import COFFEE, check_refusal, paused

from localcluster.triton_command import LOCK, SHARED_MEMORY
from localcluster.triton_watch import stubs

PATIENT = {"X-Timeout-Ms": "25000"}
"""On a machine that is busy, the next Triton may need longer than a request waits by default."""


def kill_stubs(cluster: Cluster, most: int) -> int:
    """Kills some of the processes that compute, as want of memory would, and returns Triton's own pid."""
    pid = cluster.pid("triton")
    for stub in sorted(stubs(pid))[:most]:
        os.kill(stub, signal.SIGKILL)
    return pid


def test_dead_stubs_are_an_outage(cluster: Cluster) -> None:
    """Whoever comes first waits for the next Triton; within 2 s nothing is ready, and the others are refused fast."""
    with ThreadPoolExecutor() as threads:
        with paused(cluster.status()["supervisor"]["pid"]):  # or Triton would be replaced before anybody looked
            kill_stubs(cluster, most=99)
            first = threads.submit(cluster.post, COFFEE, **PATIENT)
            until(lambda: not cluster.ready(), within_s=2)
            check_refusal(cluster)
            assert httpx.get(f"{cluster.http}/healthz").status_code == 200
        assert 200 == first.result().status_code
    until(cluster.ready, within_s=20)
    assert 200 == cluster.post(COFFEE).status_code


def test_one_dead_stub_of_several_is_enough(cluster: Cluster) -> None:
    """Requests would fail for ever, though not all: the version is lost, and no living instance hides a dead one."""
    with ThreadPoolExecutor() as threads:
        with paused(cluster.status()["supervisor"]["pid"]):
            kill_stubs(cluster, most=len(stubs(cluster.pid("triton"))) - 1)  # at least one of each version
            first = [threads.submit(cluster.post, COFFEE, **PATIENT) for _ in range(4)]
            until(lambda: not cluster.ready(), within_s=3)
            with pytest.raises(AssertionError):  # nobody has repaired it: no check may find it ready again
                until(cluster.ready, within_s=1.5)
        assert {200} == {each.result().status_code for each in first}
    until(cluster.ready, within_s=20)
    assert {200} == {cluster.post(COFFEE).status_code for _ in range(10)}


def test_a_triton_that_lost_a_stub_is_replaced(cluster: Cluster) -> None:
    """Without a single request: the supervisor sees the death, and starts another Triton."""
    pid = kill_stubs(cluster, most=1)

    until(lambda: cluster.replaced("triton", pid), within_s=20)
    until(cluster.ready, within_s=10)
    assert {200} == {cluster.post(COFFEE).status_code for _ in range(10)}


def test_a_killed_triton_leaves_no_memory_behind(cluster: Cluster) -> None:
    """Only the shared memory of the Triton that runs is there: one region per stub."""
    pid, port = cluster.pid("triton"), cluster.process("triton")["ports"]["grpc"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: cluster.replaced("triton", pid), within_s=20)
    regions = list(SHARED_MEMORY.glob(f"triptych-{port}-*"))

    assert len(stubs(cluster.pid("triton"))) == len(regions)


@pytest.mark.parametrize("header", [f"triton-grpc-protocol-{LOCK}", f"triton-grpc-protocol-{LOCK.lower()}"])
def test_administrative_calls_are_closed(cluster: Cluster, header: str) -> None:
    """No spelling of the header on Triton's command line opens them, not even one that no gRPC client would send."""
    path = "/inference.GRPCInferenceService/RepositoryIndex"
    answer = raw_call(cluster.process("triton")["ports"]["grpc"], path, (header, "-"))

    assert b"grpc-status" in answer
    assert b"efficientnet_lite0" not in answer


def test_other_calls_are_open(cluster: Cluster) -> None:
    """The same bytes with an open call are answered, so it is the lock that refuses the others."""
    path = "/inference.GRPCInferenceService/ServerMetadata"

    assert b"triton" in raw_call(cluster.process("triton")["ports"]["grpc"], path, ("header", "-"))


def raw_call(port: int, path: str, header: tuple[str, str]) -> bytes:
    """Calls a gRPC method with an empty message in plain HTTP/2 frames, and returns all that comes within a second."""
    headers = [
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "triton"),
        ("te", "trailers"), ("content-type", "application/grpc"), header,
    ]  # fmt: skip
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)
    frames = _frame(4, 0, 0, b"") + _frame(1, 4, 1, block) + _frame(0, 1, 1, bytes(5))
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection, suppress(TimeoutError):
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames)
        while received := connection.recv(65536):
            answer += received
    return answer


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content
