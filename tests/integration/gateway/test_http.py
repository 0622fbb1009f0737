"""The gateway's HTTP side, over a real uvicorn."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours, failing_item, honest, raising
from fakes.servers import eventually
from prometheus_client import REGISTRY

from servicekit.errors import InvalidArgument, Reason, ResourceExhausted

MIB = 2**20
CLASSIFY = "/api/v1/classify"
ONE = {"image_base64": base64.b64encode(b"a").decode()}


def _error(response: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    return error


def _field(error: dict[str, Any]) -> str:
    bad = [detail for detail in error["details"] if detail["@type"].endswith("BadRequest")]
    return str(bad[0]["field_violations"][0]["field"]) if bad else ""


async def _holds(_request: Any, _response: Any) -> Any:
    await asyncio.Event().wait()


async def test_json_is_answered(gateway: Gateway) -> None:
    """One image is one object, with every field of the contract in snake case."""
    response = await gateway.client.post(CLASSIFY, json={**ONE, "top_k": 2})
    answer = response.json()

    assert (200, [{"index": 97, "label": "a", "score": 0.5}, {"index": 98, "label": "b", "score": 0.25}]) == (
        response.status_code,
        answer["predictions"],
    )
    assert {
        "predictions",
        "model",
        "version",
        "prediction_id",
        "timing",
        "experiment",
        "arm",
        "cached",
    } == answer.keys()


async def test_several_images_are_a_list(gateway: Gateway) -> None:
    """Results stand in the order of the images."""
    images = [{"image_base64": base64.b64encode(content).decode()} for content in (b"x", b"y")]
    response = await gateway.client.post(CLASSIFY, json={"images": images})

    assert ["x", "y"] == [each["predictions"][0]["label"] for each in response.json()]


async def test_a_raw_image_is_answered(gateway: Gateway) -> None:
    """The body is the image, the query has the options."""
    response = await gateway.client.post(f"{CLASSIFY}?top_k=1", content=b"abc", headers={"Content-Type": "image/jpeg"})

    assert [{"index": 97, "label": "a", "score": 0.5}] == response.json()["predictions"]


async def test_a_form_is_answered(gateway: Gateway) -> None:
    """Several files are a list."""
    response = await gateway.client.post(CLASSIFY, files=[("image", b"x"), ("image", b"y")], data={"top_k": "1"})

    assert ["x", "y"] == [each["predictions"][0]["label"] for each in response.json()]


async def test_a_slow_upload_arrives_whole(gateway: Gateway, behind: Neighbours) -> None:
    """A body that comes in pieces over more than a moment loses none of them."""
    pieces = [bytes([number]) * 1000 for number in range(60)]

    async def upload() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
            await asyncio.sleep(0.01)

    await gateway.client.post(CLASSIFY, content=upload(), headers={"Content-Type": "image/png"})

    assert b"".join(pieces) == behind.preprocess.requests[-1].images[0].content


async def test_stages_are_timed(gateway: Gateway) -> None:
    """Server-Timing has every stage's milliseconds."""
    response = await gateway.client.post(CLASSIFY, json=ONE)
    stages = dict(part.split(";dur=") for part in response.headers["Server-Timing"].split(", "))

    assert {"total", "preprocess", "decode", "inference", "queue", "compute", "postprocess"} == stages.keys()
    assert (3.0, 2.0) == (float(stages["decode"]), float(stages["compute"]))


async def test_the_request_id_comes_back(gateway: Gateway, behind: Neighbours) -> None:
    """The caller's id is echoed and passed on."""
    response = await gateway.client.post(CLASSIFY, json=ONE, headers={"X-Request-ID": "order-7"})

    assert ("order-7", "order-7") == (
        response.headers["X-Request-ID"],
        behind.preprocess.metadata[-1]["x-request-id"],
    )


@pytest.mark.parametrize("path", [CLASSIFY, "/nowhere", "/healthz"])
async def test_every_answer_has_a_request_id(gateway: Gateway, path: str) -> None:
    """A caller without an id learns one, whatever the answer."""
    assert 32 == len((await gateway.client.get(path)).headers["X-Request-ID"])


async def test_an_error_has_the_shape_of_a_status(gateway: Gateway) -> None:
    """Code, name, reason, sentence and details, as in gRPC."""
    response = await gateway.client.post(CLASSIFY, json={**ONE, "top_k": 0}, headers={"X-Request-ID": "order-7"})

    assert {
        "error": {
            "code": 400,
            "status": "INVALID_ARGUMENT",
            "reason": "FIELD_INVALID",
            "message": "top_k must be 1 to 1000; it is 0.",
            "request_id": "order-7",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "FIELD_INVALID", "domain": "triptych"},
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "field_violations": [{"field": "top_k", "description": "top_k must be 1 to 1000; it is 0."}],
                },
            ],
        }
    } == response.json()


BAD: list[tuple[int, str, str, dict[str, Any]]] = [
    (400, "REQUEST_MALFORMED", "body", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
    (400, "FIELD_MISSING", "image_base64", {"json": {}}),
    (400, "FIELD_UNKNOWN", "topk", {"json": {**ONE, "topk": 3}}),
    (400, "FIELD_INVALID", "top_k", {"json": {**ONE, "top_k": 10**9}}),
    (400, "FIELD_INVALID", "min_score", {"json": {**ONE, "min_score": -1}}),
    (400, "FIELD_INVALID", "version", {"json": {**ONE, "version": "latest"}}),
    (400, "IMAGE_BASE64_INVALID", "image_base64", {"json": {"image_base64": "!"}}),
    (400, "IMAGE_EMPTY", "image_base64", {"json": {"image_base64": ""}}),
    (400, "IMAGE_EMPTY", "images[1].image_base64", {"json": {"images": [ONE, {"image_base64": ""}]}}),
    (400, "IMAGE_EMPTY", "body", {"content": b"", "headers": {"Content-Type": "image/png"}}),
    (400, "IMAGE_EMPTY", "image[0]", {"files": {"image": b""}}),
    (400, "IMAGES_MISSING", "images", {"json": {"images": []}}),
    (400, "IMAGES_TOO_MANY", "images", {"json": {"images": [ONE] * 33}}),
    (400, "REQUEST_MALFORMED", "body", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}),
    (404, "MODEL_NOT_FOUND", "model", {"json": {**ONE, "model": "huge"}}),
    (404, "MODEL_VERSION_NOT_FOUND", "version", {"json": {**ONE, "version": "9"}}),
    (415, "MEDIA_TYPE_UNSUPPORTED", "content-type", {"content": b"x", "headers": {"Content-Type": "text/plain"}}),
    (415, "MEDIA_TYPE_UNSUPPORTED", "content-type", {"content": b"x"}),
    (400, "FIELD_INVALID", "x-timeout-ms", {"json": ONE, "headers": {"x-timeout-ms": "soon"}}),
    (400, "FIELD_INVALID", "x-timeout-ms", {"json": ONE, "headers": {"x-timeout-ms": "0"}}),
    (400, "FIELD_INVALID", "top_k", {"json": ONE, "params": {"top_k": "3"}}),
    (400, "FIELD_UNKNOWN", "topk", {"json": ONE, "params": {"topk": "3"}}),
    (415, "MEDIA_TYPE_UNSUPPORTED", "content-encoding", {"json": ONE, "headers": {"Content-Encoding": "gzip"}}),
    (400, "FIELD_INVALID", "x-timeout-ms", {"json": ONE, "headers": {"x-timeout-ms": "9" * 5000}}),
]


@pytest.mark.parametrize(("status", "reason", "field", "request_"), BAD)
async def test_a_bad_request_is_explained(
    gateway: Gateway, status: int, reason: str, field: str, request_: dict[str, Any]
) -> None:
    """Each fault has its HTTP status, its reason, and the field by the name that the caller used."""
    response = await gateway.client.post(CLASSIFY, **request_)

    assert (status, reason, field) == (response.status_code, _error(response)["reason"], _field(_error(response)))


async def test_a_fault_found_later_is_named_by_the_callers_field(gateway: Gateway, behind: Neighbours) -> None:
    """What preprocess says of an image points at the JSON field it came in."""
    fault = InvalidArgument("Damaged.", reason=Reason.IMAGE_CORRUPT, field="content")
    behind.preprocess.answer = failing_item(1, fault)
    response = await gateway.client.post(CLASSIFY, json={"images": [ONE, ONE]})

    assert (400, "images[1].image_base64") == (response.status_code, _field(_error(response)))


@pytest.mark.parametrize(
    ("status", "reason", "method", "path"),
    [
        (404, "METHOD_NOT_FOUND", "GET", "/nowhere"),
        (404, "METHOD_NOT_FOUND", "GET", "/api/v2/classify"),
        (405, "METHOD_NOT_ALLOWED", "GET", CLASSIFY),
        (405, "METHOD_NOT_ALLOWED", "DELETE", "/api/v1/models"),
        (404, "MODEL_NOT_FOUND", "GET", "/api/v1/models/huge"),
    ],
)
async def test_wrong_addresses_are_explained(
    gateway: Gateway, status: int, reason: str, method: str, path: str
) -> None:
    """The router's own refusals have the same shape as all others."""
    response = await gateway.client.request(method, path)

    assert (status, reason) == (response.status_code, _error(response)["reason"])


async def test_a_wrong_method_is_told_the_right_ones(gateway: Gateway) -> None:
    """405 comes with Allow."""
    assert "POST" == (await gateway.client.get(CLASSIFY)).headers["Allow"]


@pytest.mark.parametrize("chunked", [False, True], ids=["Content-Length", "chunked"])
async def test_an_oversize_body_is_refused(behind: Neighbours, chunked: bool) -> None:
    """A body above the limit is 413, whether or not it says its length first, and the next request is served."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield bytes(MIB)

    async with running_gateway(behind, max_request_bytes=MIB) as gateway:
        response = await gateway.client.post(
            CLASSIFY, content=chunks() if chunked else bytes(4 * MIB), headers={"Content-Type": "image/png"}
        )
        after = await gateway.client.post(CLASSIFY, json=ONE)

    assert (413, "REQUEST_TOO_LARGE", "body", 200) == (
        response.status_code,
        _error(response)["reason"],
        _field(_error(response)),
        after.status_code,
    )


async def test_an_oversize_form_is_refused(behind: Neighbours) -> None:
    """A form is bounded while it is read."""
    async with running_gateway(behind, max_request_bytes=MIB) as gateway:
        response = await gateway.client.post(CLASSIFY, files={"image": bytes(4 * MIB)})

    assert (413, "REQUEST_TOO_LARGE") == (response.status_code, _error(response)["reason"])


async def test_an_oversize_image_is_refused(behind: Neighbours) -> None:
    """One image above its own limit is 413 as well."""
    async with running_gateway(behind, max_image_bytes=10) as gateway:
        response = await gateway.client.post(
            CLASSIFY, content=bytes(11), headers={"Content-Type": "application/octet-stream"}
        )

    assert (413, "IMAGE_TOO_LARGE", "body") == (
        response.status_code,
        _error(response)["reason"],
        _field(_error(response)),
    )


async def test_a_caller_chooses_its_patience(gateway: Gateway, behind: Neighbours) -> None:
    """x-timeout-ms ends the call with 504 and cancels its work."""
    behind.inference.answer = _holds
    response = await gateway.client.post(CLASSIFY, json=ONE, headers={"x-timeout-ms": "200"})
    await eventually(lambda: behind.inference.cancelled == 1)

    assert (504, "DEADLINE_EXCEEDED") == (response.status_code, _error(response)["reason"])


async def test_patience_reaches_the_services(gateway: Gateway, behind: Neighbours) -> None:
    """What is left of it goes with every image."""
    await gateway.client.post(CLASSIFY, json=ONE, headers={"x-timeout-ms": "2500"})

    assert 1500 < behind.preprocess.requests[-1].images[0].time_left_ms <= 2500


async def test_without_a_choice_the_default_holds(behind: Neighbours) -> None:
    """A request without x-timeout-ms has a deadline too."""
    async with running_gateway(behind, default_timeout_s=0.2) as gateway:
        behind.inference.answer = _holds

        assert 504 == (await gateway.client.post(CLASSIFY, json=ONE)).status_code


async def test_a_client_that_hangs_up_stops_the_work(gateway: Gateway, behind: Neighbours) -> None:
    """Closing the connection cancels the hop in work, and is counted as the caller's doing."""
    behind.inference.answer = _holds

    def counted() -> float:
        labels = {"transport": "http", "code": "CANCELLED", "reason": "CALLER_CANCELLED"}
        return REGISTRY.get_sample_value("triptych_requests_total", labels) or 0.0

    before = counted()
    async with httpx.AsyncClient(base_url=gateway.client.base_url, trust_env=False) as leaving:
        call = asyncio.ensure_future(leaving.post(CLASSIFY, json=ONE))
        await eventually(lambda: bool(behind.inference.requests))
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    await eventually(lambda: behind.inference.cancelled == 1)
    await eventually(lambda: counted() == before + 1)


async def test_a_client_that_hangs_up_while_sending_is_no_error(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half a body is the caller's doing, not an unexpected error of ours."""

    def counted() -> float:
        labels = {"transport": "http", "code": "CANCELLED", "reason": "CALLER_CANCELLED"}
        return REGISTRY.get_sample_value("triptych_requests_total", labels) or 0.0

    before = counted()
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.http.port)
    writer.write(
        b"POST /api/v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\nhalf"
    )
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    await eventually(lambda: counted() == before + 1)

    assert "unexpected error" not in capsys.readouterr().out


async def test_a_shed_request_says_when_to_come_back(gateway: Gateway, behind: Neighbours) -> None:
    """429 has Retry-After, in whole seconds, rounded up."""
    behind.preprocess.answer = raising(ResourceExhausted("Full.", retry_after_s=0.5))
    response = await gateway.client.post(CLASSIFY, json=ONE)

    assert (429, "QUEUE_FULL", "1") == (
        response.status_code,
        _error(response)["reason"],
        response.headers["Retry-After"],
    )


async def test_an_unexpected_error_tells_nothing(gateway: Gateway) -> None:
    """A fault of the program is 500 in the usual shape, without a word of its text."""

    @gateway.app.get("/breaks")
    async def breaks() -> None:
        raise RuntimeError("secret /srv/path")

    response = await gateway.client.get("/breaks")

    assert (500, "INTERNAL", False) == (
        response.status_code,
        _error(response)["reason"],
        "secret" in response.text,
    )


async def test_alive(gateway: Gateway) -> None:
    """/healthz is 200."""
    assert 200 == (await gateway.client.get("/healthz")).status_code


async def test_ready(gateway: Gateway) -> None:
    """/readyz tells every dependency and which versions are live, on what."""
    response = await gateway.client.get("/readyz")
    body = response.json()

    assert (200, True) == (response.status_code, body["ready"])
    assert {name: {"ready": True, "detail": None} for name in ("preprocess", "inference", "postprocess", "triton")} == (
        body["dependencies"]
    )
    assert ("tiny", "1", "openvino") == (
        body["models"][1]["name"],
        body["models"][1]["versions"][0]["version"],
        body["models"][1]["versions"][0]["backend"],
    )


async def test_not_ready_then_ready(behind: Neighbours) -> None:
    """/readyz is 503 while a dependency is away, names it, and is 200 when it is there; /healthz is 200 throughout."""
    await behind.postprocess.stop()
    async with running_gateway(behind, ready=False) as gateway:
        await eventually(lambda: set(gateway.readiness.failing()) == {"postprocess"})
        away, alive = await gateway.client.get("/readyz"), await gateway.client.get("/healthz")
        await behind.postprocess.start()
        await gateway.becomes(ready=True, within_s=3)
        back = await gateway.client.get("/readyz")

    assert (503, False, 200, 200) == (
        away.status_code,
        away.json()["dependencies"]["postprocess"]["ready"],
        alive.status_code,
        back.status_code,
    )


async def test_readiness_tells_no_address(behind: Neighbours) -> None:
    """What is away is named by its role, never by host or port."""
    await behind.preprocess.stop()
    async with running_gateway(behind, ready=False) as gateway:
        await eventually(lambda: set(gateway.readiness.failing()) == {"preprocess"})
        text = (await gateway.client.get("/readyz")).text

    assert "127.0.0.1" not in text


async def test_without_a_service_the_answer_is_503(gateway: Gateway, behind: Neighbours) -> None:
    """A request for a chain that is broken is refused with the time to come back."""
    await behind.inference.stop()
    await gateway.becomes(ready=False)
    response = await gateway.client.post(CLASSIFY, json=ONE)

    assert (503, "DEPENDENCY_UNAVAILABLE", "1") == (
        response.status_code,
        _error(response)["reason"],
        response.headers["Retry-After"],
    )


async def test_models_are_listed(gateway: Gateway) -> None:
    """/api/v1/models has every model, /api/v1/models/NAME one of them, in the same form."""
    listed = (await gateway.client.get("/api/v1/models")).json()["models"]

    assert listed[1] == (await gateway.client.get("/api/v1/models/tiny")).json()
    assert ("tiny", True, "MODEL_STATE_READY") == (
        listed[1]["name"],
        listed[1]["default"],
        listed[1]["versions"][0]["state"],
    )


async def test_metrics_are_served(gateway: Gateway) -> None:
    """/metrics has the counters of requests and the buckets of stages."""
    await gateway.client.post(CLASSIFY, json=ONE)
    text = (await gateway.client.get("/metrics")).text

    assert 'triptych_requests_total{code="OK",reason="",transport="http"}' in text
    assert 'triptych_stage_seconds_bucket{le="0.005",model="tiny",stage="total",version="1"}' in text


async def test_a_draining_gateway_closes_connections(gateway: Gateway) -> None:
    """Each answer asks its client to come back elsewhere."""
    before = (await gateway.client.get("/healthz")).headers.get("Connection")
    gateway.http.turn_away()

    assert (None, "close") == (before, (await gateway.client.get("/healthz")).headers.get("Connection"))


async def test_a_request_in_work_survives_the_drain(behind: Neighbours) -> None:
    """What was accepted over HTTP is answered before the server ends."""
    goes_on = asyncio.Event()

    async def waits(request: Any, response: Any) -> Any:
        await goes_on.wait()
        return await honest(request, response)

    behind.preprocess.answer = waits
    async with (
        running_gateway(behind, drain_timeout_s=5) as gateway,
        httpx.AsyncClient(base_url=gateway.client.base_url, trust_env=False) as client,
    ):
        call = asyncio.ensure_future(client.post(CLASSIFY, json=ONE))
        await eventually(lambda: bool(behind.preprocess.requests))
        gateway.http.turn_away()
        gateway.http._server.should_exit = True
        await asyncio.sleep(0.2)
        goes_on.set()

        assert 200 == (await call).status_code


async def test_a_taken_port_is_an_error(gateway: Gateway, behind: Neighbours) -> None:
    """Two gateways never share a port in silence."""
    with pytest.raises(OSError, match="in use"):
        async with running_gateway(behind, http_port=gateway.http.port):
            pass
