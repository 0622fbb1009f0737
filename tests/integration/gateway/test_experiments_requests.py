"""Requests of experiments and feedback over HTTP that are wrong, or come in an odd way, over a real uvicorn.

The experiments service is a scripted server at the wire: it keeps nothing, and answers as it is told.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fakes.experiment_requests import BODY, FEEDBACK, ONE, TRIAL, V1, error_of, field_of
from fakes.gateways import Gateway
from fakes.scripted_experiments import FakeExperiments

from servicekit.errors import InvalidArgument


@pytest.fixture
def gateway(experimenting: Gateway) -> Gateway:
    """A gateway with an experiments service behind it."""
    return experimenting


@pytest.mark.parametrize(
    ("sent", "field", "message"),
    [
        (ONE, "label_index", "In the feedback, label_index is not good."),
        ({"feedback": [ONE]}, "feedback[0].label_index", "In feedback[0], feedback[0].label_index is not good."),
    ],
)
async def test_the_services_fault_is_named_as_the_caller_named_it(
    gateway: Gateway, service: FakeExperiments, sent: dict[str, Any], field: str, message: str
) -> None:
    """Who sends one feedback has no list in it."""
    path = "feedback[0].label_index"
    service.scripts["SubmitFeedback"] = InvalidArgument(f"In feedback[0], {path} is not good.", field=path)
    response = await gateway.client.post(FEEDBACK, json=sent)

    assert (400, field, message) == (response.status_code, field_of(response), error_of(response)["message"])


async def test_the_prediction_is_named_as_in_the_path(gateway: Gateway, service: FakeExperiments) -> None:
    """`prediction_ids[0]` is no word of whoever deletes one."""
    fault = InvalidArgument("prediction_ids[0] must have at most 64 characters.", field="prediction_ids[0]")
    service.scripts["DeletePredictions"] = fault
    response = await gateway.client.delete(f"{V1}/predictions/p")

    assert ("prediction_id", "prediction_id must have at most 64 characters.") == (
        field_of(response),
        error_of(response)["message"],
    )


JSON = {"Content-Type": "application/json"}
BAD: list[tuple[int, str, str, str, str, dict[str, Any]]] = [
    (400, "REQUEST_MALFORMED", "body", "POST", FEEDBACK, {"content": b"{", "headers": JSON}),
    (400, "REQUEST_MALFORMED", "body", "POST", f"{TRIAL}/start", {"content": b"", "headers": JSON}),
    (400, "FIELD_INVALID", "body", "POST", FEEDBACK, {"json": [ONE]}),
    (400, "FIELD_UNKNOWN", "label_idx", "POST", FEEDBACK, {"json": {"label_idx": 1}}),
    (400, "FIELD_INVALID", "label_index", "POST", FEEDBACK, {"json": {"label_index": "1"}}),
    (400, "FIELD_INVALID", "label_index", "POST", FEEDBACK, {"json": ONE, "params": {"label_index": "1"}}),
    (400, "FIELD_INVALID", "time", "POST", FEEDBACK, {"json": {**ONE, "time": "now"}}),
    (400, "FIELD_INVALID", "x-timeout-ms", "POST", FEEDBACK, {"json": ONE, "headers": {"X-Timeout-Ms": "soon"}}),
    (415, "MEDIA_TYPE_UNSUPPORTED", "content-type", "POST", FEEDBACK, {"content": b"{}"}),
    (415, "MEDIA_TYPE_UNSUPPORTED", "content-type", "POST", FEEDBACK, {"data": {"label": "x"}}),
    (415, "MEDIA_TYPE_UNSUPPORTED", "content-type", "POST", f"{TRIAL}/stop", {}),
    (
        415,
        "MEDIA_TYPE_UNSUPPORTED",
        "content-encoding",
        "POST",
        FEEDBACK,
        {"json": ONE, "headers": {"Content-Encoding": "gzip"}},
    ),
    (400, "FIELD_UNKNOWN", "name", "POST", f"{TRIAL}/stop", {"json": {"name": "other"}}),
    (
        400,
        "FIELD_INVALID",
        "experiment.arms[0].version",
        "POST",
        f"{V1}/experiments",
        {"json": {"experiment": {"arms": [{"version": 1}]}}},
    ),
    (400, "FIELD_UNKNOWN", "state", "POST", f"{V1}/experiments", {"json": {"state": "x"}}),
    (400, "FIELD_INVALID", "weights[a]", "POST", f"{TRIAL}/weights", {"json": {"weights": {"a": "1"}}}),
    (400, "FIELD_UNKNOWN", "limit", "GET", f"{V1}/experiments?limit=3", {}),
    (400, "FIELD_INVALID", "page_size", "GET", f"{V1}/experiments?page_size=1&page_size=2", {}),
    (400, "FIELD_INVALID", "page_size", "GET", f"{V1}/experiments?page_size=x", {}),
    (400, "FIELD_INVALID", "after", "GET", f"{TRIAL}/verdicts/history?after=x", {}),
    (400, "FIELD_UNKNOWN", "name", "GET", f"{TRIAL}?name=other", {}),
    (400, "FIELD_UNKNOWN", "why", "DELETE", f"{V1}/predictions/p?why=x", {}),
    (
        404,
        "MODEL_VERSION_NOT_FOUND",
        "experiment.arms[1].version",
        "POST",
        f"{V1}/experiments",
        {"json": {"experiment": {**BODY, "arms": [BODY["arms"][0], {"name": "b", "version": "9"}]}, "start": True}},
    ),
    (404, "MODEL_NOT_FOUND", "model", "POST", f"{V1}/models/huge/pin", {"json": {"version": "1"}}),
    (404, "METHOD_NOT_FOUND", "", "POST", f"{TRIAL}/restart", {"json": {}}),
    (404, "METHOD_NOT_FOUND", "", "GET", f"{V1}/predictions", {}),
    (405, "METHOD_NOT_ALLOWED", "", "GET", FEEDBACK, {}),
    (405, "METHOD_NOT_ALLOWED", "", "HEAD", f"{TRIAL}/stop", {}),
    (405, "METHOD_NOT_ALLOWED", "", "PUT", TRIAL, {}),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case[3]} {case[4]} {case[1]} {case[2]}")
async def test_a_bad_request_is_explained(
    gateway: Gateway, service: FakeExperiments, case: tuple[int, str, str, str, str, dict[str, Any]]
) -> None:
    """Each fault has its status, its reason and the field; the service hears nothing of it."""
    status, reason, field, verb, path, sent = case
    response = await gateway.client.request(verb, path, **sent)

    assert status == response.status_code
    if verb != "HEAD":
        assert (reason, field) == (error_of(response)["reason"], field_of(response))
    assert [] == service.asked


async def test_a_wrong_method_is_told_all_the_right_ones(gateway: Gateway) -> None:
    """`Allow` names those of every route at the path."""
    answers = [await gateway.client.put(path) for path in (f"{V1}/experiments", TRIAL, FEEDBACK)]

    assert ["GET, POST", "DELETE, GET", "POST"] == [answer.headers["Allow"] for answer in answers]


@pytest.mark.parametrize("path", [f"{V1}/experiments", TRIAL, f"{TRIAL}/verdicts", f"{V1}/decisions"])
async def test_head_is_answered_where_get_is(gateway: Gateway, path: str) -> None:
    """With the headers alone."""
    response = await gateway.client.head(path)

    assert (200, b"", "application/json") == (response.status_code, response.content, response.headers["Content-Type"])


@pytest.mark.parametrize("chunked", [False, True], ids=["Content-Length", "chunked"])
async def test_a_body_has_a_bound(gateway: Gateway, service: FakeExperiments, chunked: bool) -> None:
    """Above one MiB it is 413, whether or not it says its length first, and the next request is served."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 2**18

    content = chunks() if chunked else b" " * (2**20 + 1)
    response = await gateway.client.post(FEEDBACK, content=content, headers=JSON)
    asked = list(service.asked)
    after = await gateway.client.post(FEEDBACK, json=ONE)

    assert (413, "REQUEST_TOO_LARGE", "body", [], 200) == (
        response.status_code,
        error_of(response)["reason"],
        field_of(response),
        asked,
        after.status_code,
    )


async def test_a_body_may_come_in_pieces(gateway: Gateway, service: FakeExperiments) -> None:
    """As browsers and proxies send it."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"prediction_id": "p",'
        await asyncio.sleep(0.02)
        yield b' "label_index": 281}'

    response = await gateway.client.post(
        FEEDBACK, content=pieces(), headers={"Content-Type": "application/JSON; charset=utf-8"}
    )

    assert (200, 281) == (response.status_code, service.last.request.feedback[0].label_index)


async def test_a_client_that_hangs_up_while_sending_is_no_error(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half a body is the caller's doing, not an unexpected error of ours."""
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.http.port)
    head = "Host: x\r\nContent-Type: application/json\r\nContent-Length: 100"
    writer.write(f"POST {FEEDBACK} HTTP/1.1\r\n{head}\r\n\r\nhalf".encode())
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    await asyncio.sleep(0.1)

    assert "unexpected error" not in capsys.readouterr().out
