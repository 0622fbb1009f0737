"""Triptych's own workloads: gRPC, HTTP with the picture as the body, HTTP with JSON and base64."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Literal

from benchmarks.load.exchange import Exchange, Workload
from benchmarks.load.grpc import Grpc
from benchmarks.load.http1 import Http1, HttpRequest
from triptych.classification.v1 import classification_pb2
from triptych.classification.v1 import classification_service_pb2 as pb

Transport = Literal["grpc", "http", "json"]
TRANSPORTS: tuple[Transport, ...] = ("grpc", "http", "json")

_METHOD = "/triptych.classification.v1.ClassificationService/Classify"
_ROUTE = "/api/v1/classify"


def workload(
    transport: Transport, port: int, contents: Sequence[bytes], expected: tuple[int, ...], version: str = ""
) -> Workload:
    """Returns what to send to a gateway on this machine.

    Args:
        transport: `grpc`, `http` (the picture is the body) or `json` (base64).
        port: the gateway's, of that transport.
        contents: encoded pictures.
        expected: the best class of each.
        version: of the model; empty leaves it to the gateway.
    """
    if transport == "grpc":
        messages = [_message(content, version) for content in contents]
        connect: Callable[[], Exchange] = lambda: Grpc(_METHOD, messages)  # noqa: E731
        return Workload(("127.0.0.1", port), connect, _grpc_top1, expected)
    build = _raw if transport == "http" else _json
    encoded = [build(content, version).encode() for content in contents]
    return Workload(("127.0.0.1", port), lambda: Http1(encoded), _json_top1, expected)


def _message(content: bytes, version: str) -> bytes:
    image = classification_pb2.Image(content=content)
    return pb.ClassifyRequest(images=[image], version=version).SerializeToString()


def _raw(content: bytes, version: str) -> HttpRequest:
    path = f"{_ROUTE}?version={version}" if version else _ROUTE
    return HttpRequest(path, {"Content-Type": "image/jpeg"}, content)


def _json(content: bytes, version: str) -> HttpRequest:
    fields = {"image_base64": base64.b64encode(content).decode(), **({"version": version} if version else {})}
    return HttpRequest(_ROUTE, {"Content-Type": "application/json"}, json.dumps(fields).encode())


def _grpc_top1(body: bytes) -> int:
    return pb.ClassifyResponse.FromString(body).results[0].predictions[0].index


def _json_top1(body: bytes) -> int:
    return int(json.loads(body)["predictions"][0]["index"])
