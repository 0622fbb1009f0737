"""What Triton must not die of, and what nobody may ask it to do."""

import random
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import grpc
import pytest
from e2e.cluster import Cluster, until
from e2e.test_outages import COFFEE

from localcluster.triton_command import LOCK
from triptych.classification.v1 import classification_pb2
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1.classification_service_pb2_grpc import ClassificationServiceStub


def test_callers_who_are_late_do_not_end_triton(cluster: Cluster) -> None:
    """Deadlines of 1 to 40 ms, which pass at every moment of an inference: Triton 2.51 could crash on such a one."""
    pid, chance = cluster.pid("triton"), random.Random(7)  # noqa: S311 (no secret)
    request = pb.ClassifyRequest(images=[classification_pb2.Image(content=COFFEE)])

    def classify(timeout_s: float) -> grpc.StatusCode:
        try:
            stub.Classify(request, timeout=timeout_s)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()  # type: ignore[attr-defined,unused-ignore] # gRPC's own does
            return code
        return grpc.StatusCode.OK

    with grpc.insecure_channel(cluster.grpc) as channel, ThreadPoolExecutor(8) as threads:
        stub = ClassificationServiceStub(channel)
        codes = Counter(threads.map(classify, [chance.uniform(0.001, 0.04) for _ in range(1500)]))
    assert codes[grpc.StatusCode.DEADLINE_EXCEEDED] > 100
    assert pid == cluster.pid("triton")
    until(cluster.ready, within_s=5)
    assert 200 == cluster.post(COFFEE).status_code


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
