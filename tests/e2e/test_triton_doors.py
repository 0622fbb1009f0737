"""What nobody may ask Triton to do."""

import socket
from contextlib import suppress

import pytest
from e2e.cluster import Cluster

from localcluster.triton_command import LOCK


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
