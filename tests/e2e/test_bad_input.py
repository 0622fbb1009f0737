"""Bad input: the right code, a machine-readable reason and a sentence that helps, over gRPC and HTTP alike."""

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
import pytest
from e2e.cluster import PHOTOGRAPHS, Cluster
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from triptych.classification.v1 import classification_pb2
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1.classification_service_pb2_grpc import ClassificationServiceStub

MIB = 2**20
ROCKET = (PHOTOGRAPHS / "rocket.jpg").read_bytes()
TRUNCATED = ROCKET[: len(ROCKET) // 2]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><circle r="9"/></svg>'


def huge_png() -> bytes:
    """Returns a PNG whose header promises 50,000 x 50,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + ROCKET[:64]


@dataclass(frozen=True)
class Bad:
    """Is one wrong request, said in both protocols."""

    name: str
    reason: str
    says: str
    """What the sentence must hold."""
    status: int = 400
    code: str = "INVALID_ARGUMENT"
    images: tuple[bytes, ...] = (ROCKET,)
    options: dict[str, Any] = field(default_factory=dict)
    at: str = "images[0]."
    """The field; for an image the path to it, which each protocol ends in its own way."""

    @property
    def http_field(self) -> str:
        """Is the field's path in JSON."""
        single = "image_base64" if len(self.images) == 1 else f"{self.at}image_base64"
        return single if self.at.endswith(".") else self.at

    @property
    def grpc_field(self) -> str:
        """Is the field's path in the message."""
        return f"{self.at}content" if self.at.endswith(".") else self.at


BOTH = [
    Bad("empty", "IMAGE_EMPTY", "empty", images=(b"",)),
    Bad("not an image", "IMAGE_FORMAT_UNSUPPORTED", "JPEG, PNG", images=(b"hello, world",)),
    Bad("truncated JPEG", "IMAGE_CORRUPT", "JPEG", images=(TRUNCATED,)),
    Bad("50,000 x 50,000 PNG", "IMAGE_DIMENSIONS_EXCEEDED", "50000", images=(huge_png(),)),
    Bad("SVG", "IMAGE_FORMAT_UNSUPPORTED", "SVG", images=(SVG,)),
    Bad("oversize image", "IMAGE_TOO_LARGE", "16777216", status=413, images=(ROCKET + bytes(16 * MIB),)),
    Bad(
        "unknown model",
        "MODEL_NOT_FOUND",
        "efficientnet_lite0",
        404,
        "NOT_FOUND",
        options={"model": "nope"},
        at="model",
    ),
    Bad(
        "unknown version",
        "MODEL_VERSION_NOT_FOUND",
        "it has 1",
        404,
        "NOT_FOUND",
        options={"version": "99"},
        at="version",
    ),
    Bad("version is no number", "FIELD_INVALID", "decimal", options={"version": "latest"}, at="version"),
    Bad("top_k 0", "FIELD_INVALID", "1 to 1000", options={"top_k": 0}, at="top_k"),
    Bad("top_k -1", "FIELD_INVALID", "1 to 1000", options={"top_k": -1}, at="top_k"),
    Bad("top_k 10**9", "FIELD_INVALID", "1 to 1000", options={"top_k": 10**9}, at="top_k"),
    Bad("min_score 1.5", "FIELD_INVALID", "0 to 1", options={"min_score": 1.5}, at="min_score"),
    Bad("no images", "IMAGES_MISSING", "at least one", images=(), at="images"),
    Bad("33 images", "IMAGES_TOO_MANY", "32", images=(b"x",) * 33, at="images"),
    Bad("the second of two is bad", "IMAGE_FORMAT_UNSUPPORTED", "JPEG", images=(ROCKET, b"no"), at="images[1]."),
]


def body_of(bad: Bad) -> dict[str, Any]:
    """Returns the JSON body of a wrong request."""
    texts = [base64.b64encode(content).decode() for content in bad.images]
    images = {"image_base64": texts[0]} if len(texts) == 1 else {"images": [{"image_base64": text} for text in texts]}
    return images | bad.options


def post_json(cluster: Cluster, body: str) -> httpx.Response:
    """Sends a JSON body as it is."""
    headers = {"Content-Type": "application/json"}
    return httpx.post(f"{cluster.http}/api/v1/classify", content=body, headers=headers, timeout=30)


def violated(error: dict[str, Any]) -> str | None:
    """Returns the field that an HTTP error points at."""
    fields = [each["field"] for detail in error["details"] for each in detail.get("field_violations", ())]
    return fields[0] if fields else None


@pytest.fixture(autouse=True)
def healthy_afterwards(cluster: Cluster) -> Iterator[None]:
    """After every bad request, a good one is answered."""
    yield
    assert cluster.post(ROCKET, "image/jpeg").status_code == 200


@pytest.mark.parametrize("bad", BOTH, ids=lambda bad: bad.name)
def test_over_http(bad: Bad, cluster: Cluster) -> None:
    """HTTP answers with the status, the reason, the field and a sentence that helps."""
    response = post_json(cluster, json.dumps(body_of(bad)))
    error = response.json()["error"]
    assert (bad.status, bad.code, bad.reason) == (response.status_code, error["status"], error["reason"])
    assert bad.http_field == violated(error)
    assert bad.says in error["message"]


@pytest.mark.parametrize("bad", BOTH, ids=lambda bad: bad.name)
def test_over_grpc(bad: Bad, cluster: Cluster) -> None:
    """Over gRPC the answer comes with the code, the same reason, the field and the same kind of sentence."""
    images = [classification_pb2.Image(content=content) for content in bad.images]
    request = pb.ClassifyRequest(images=images, **bad.options)
    check_grpc(refusal(cluster, request), bad.code, bad.reason, bad.grpc_field, bad.says)


def refusal(cluster: Cluster, request: pb.ClassifyRequest) -> Any:
    """Sends a request over gRPC and returns the error."""
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(cluster.grpc, options) as channel, pytest.raises(grpc.RpcError) as caught:
        ClassificationServiceStub(channel).Classify(request, timeout=30)
    return caught.value


def check_grpc(error: Any, code: str, reason: str, field_path: str | None, says: str) -> None:
    """Holds a gRPC error against what it must be."""
    assert code == error.code().name
    assert says in (error.details() or "")
    status = rpc_status.from_call(error)
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad_request)
    assert ("triptych", reason) == (info.domain, info.reason)
    assert ([field_path] if field_path else []) == [each.field for each in bad_request.field_violations]


ONLY_JSON = [
    ("broken base64", '{"image_base64": "%%%"}', "IMAGE_BASE64_INVALID", "image_base64", "base64"),
    ("data URL", '{"image_base64": "data:image/png;base64,AAAA"}', "IMAGE_BASE64_INVALID", "image_base64", "data:"),
    ("broken JSON", '{"image_base64": ', "REQUEST_MALFORMED", "body", "not JSON"),
    ("no JSON object", "[1, 2]", "FIELD_INVALID", "body", "object"),
    ("empty body", "", "REQUEST_MALFORMED", "body", "not JSON"),
    ("missing field", "{}", "FIELD_MISSING", "image_base64", "image_base64"),
    ("missing field inside", '{"images": [{}]}', "FIELD_MISSING", "images[0].image_base64", "required"),
    ("unknown field", '{"image_base64": "AAAA", "topk": 3}', "FIELD_UNKNOWN", "topk", "topk"),
    ("both image and images", '{"image_base64": "AAAA", "images": []}', "FIELD_INVALID", "image_base64", "not both"),
    ("top_k as text", '{"image_base64": "AAAA", "top_k": "3"}', "FIELD_INVALID", "top_k", "whole number"),
    ("top_k as fraction", '{"image_base64": "AAAA", "top_k": 2.5}', "FIELD_INVALID", "top_k", "whole number"),
    (
        "top_k of 30 digits",
        '{"image_base64": "AAAA", "top_k": ' + "9" * 30 + "}",
        "FIELD_INVALID",
        "top_k",
        "1 to 1000",
    ),
    ("image as number", '{"image_base64": 7}', "FIELD_INVALID", "image_base64", "string"),
    ("model as list", '{"image_base64": "AAAA", "model": []}', "FIELD_INVALID", "model", "string"),
    ("nested 10,000 deep", "[" * 10_000, "REQUEST_MALFORMED", "body", "not JSON"),
]


@pytest.mark.parametrize("case", ONLY_JSON, ids=lambda case: case[0])
def test_bad_json(case: tuple[str, str, str, str, str], cluster: Cluster) -> None:
    """JSON that is broken or of the wrong shape is a 400 that names the field."""
    _, body, reason, field_path, says = case
    response = post_json(cluster, body)
    error = response.json()["error"]
    assert (400, reason, field_path) == (response.status_code, error["reason"], violated(error))
    assert says in error["message"]


@pytest.mark.parametrize("query", ["top_k=0", "top_k=-1", "top_k=1000000000", "top_k=three", "min_score=2"])
def test_bad_query_of_a_raw_body(query: str, cluster: Cluster) -> None:
    """Options in the query are checked like those in JSON."""
    response = cluster.post(ROCKET, "image/jpeg", f"?{query}")
    assert (400, "FIELD_INVALID") == (response.status_code, response.json()["error"]["reason"])


def test_an_unknown_option_in_the_query(cluster: Cluster) -> None:
    """An option that does not exist is refused, not ignored."""
    response = cluster.post(ROCKET, "image/jpeg", "?topk=3")
    assert (400, "FIELD_UNKNOWN") == (response.status_code, response.json()["error"]["reason"])


def test_an_oversize_body_over_http(cluster: Cluster) -> None:
    """A body above the limit is a 413, told from its Content-Length."""
    response = cluster.post(bytes(49 * MIB))
    assert (413, "REQUEST_TOO_LARGE") == (response.status_code, response.json()["error"]["reason"])


def test_an_oversize_chunked_body_over_http(cluster: Cluster) -> None:
    """A body that does not say its length is cut off at the limit, with a 413."""
    chunks = (bytes(MIB) for _ in range(49))
    headers = {"Content-Type": "image/png"}
    response = httpx.post(f"{cluster.http}/api/v1/classify", content=chunks, headers=headers, timeout=30)
    assert (413, "REQUEST_TOO_LARGE") == (response.status_code, response.json()["error"]["reason"])


def test_images_that_are_too_large_together_over_grpc(cluster: Cluster) -> None:
    """Three images of 12 MiB are each allowed, but not together."""
    images = [classification_pb2.Image(content=bytes(12 * MIB))] * 3
    error = refusal(cluster, pb.ClassifyRequest(images=images))
    check_grpc(error, "INVALID_ARGUMENT", "REQUEST_TOO_LARGE", "images", "33554432")


def test_a_message_above_the_transport_limit_over_grpc(cluster: Cluster) -> None:
    """The transport refuses a message above 64 MiB, and says the limit."""
    image = classification_pb2.Image(content=bytes(65 * MIB))
    error = refusal(cluster, pb.ClassifyRequest(images=[image]))
    assert "RESOURCE_EXHAUSTED" == error.code().name
    assert str(64 * MIB) in error.details()


def raw_call(cluster: Cluster, data: bytes) -> Any:
    """Sends bytes as a Classify request over gRPC and returns the error."""
    with grpc.insecure_channel(cluster.grpc) as channel:
        send: Any = channel.unary_unary("/triptych.classification.v1.ClassificationService/Classify")
        with pytest.raises(grpc.RpcError) as caught:
            send(data, timeout=30)
    return caught.value


def test_bytes_that_are_no_message_over_grpc(cluster: Cluster) -> None:
    """Bytes that are no protobuf are the caller's fault, not an internal error."""
    check_grpc(raw_call(cluster, b"\xff\xff\xff\xff"), "INVALID_ARGUMENT", "REQUEST_MALFORMED", None, "no request")


def test_a_wrong_type_over_grpc(cluster: Cluster) -> None:
    """A field of another wire type does not pass as something else: here top_k (4) comes as text."""
    image = pb.ClassifyRequest(images=[classification_pb2.Image(content=ROCKET)]).SerializeToString()
    error = raw_call(cluster, image + b"\x22\x013")
    check_grpc(error, "INVALID_ARGUMENT", "FIELD_UNKNOWN", "4", "4")


def test_an_unknown_field_over_grpc(cluster: Cluster) -> None:
    """A field number that this server does not know is refused, not ignored."""
    image = pb.ClassifyRequest(images=[classification_pb2.Image(content=ROCKET)]).SerializeToString()
    error = raw_call(cluster, image + b"\x98\x06\x01")  # field 99, varint 1
    check_grpc(error, "INVALID_ARGUMENT", "FIELD_UNKNOWN", "99", "99")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/api/v1/classify", 405), ("POST", "/api/v1/nope", 404)]
)
def test_wrong_routes(method: str, path: str, status: int, cluster: Cluster) -> None:
    """Routes and methods that do not exist answer in the same shape as every error."""
    response = httpx.request(method, cluster.http + path)
    assert (status, status) == (response.status_code, response.json()["error"]["code"])


def test_an_unsupported_content_type(cluster: Cluster) -> None:
    """Text is a 415 that lists what is read."""
    response = cluster.post(b"hello", "text/plain")
    assert (415, "MEDIA_TYPE_UNSUPPORTED") == (response.status_code, response.json()["error"]["reason"])
    assert "application/json" in response.json()["error"]["message"]
