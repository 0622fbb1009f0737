"""/docs and /openapi.json: true, complete, and served by the gateway alone."""

import base64
import json
import re
from typing import Any

import pytest
from fakes.gateways import Gateway
from pydantic import TypeAdapter

from gateway.http import schemas
from gateway.http.example import CAT

CLASSIFY = "/api/v1/classify"


@pytest.fixture
async def document(gateway: Gateway) -> Any:
    """The served description."""
    return (await gateway.client.get("/openapi.json")).json()


async def test_documented_examples_work(gateway: Gateway, document: Any) -> None:
    """Every example of /openapi.json is a request that is answered."""
    body = document["paths"][CLASSIFY]["post"]["requestBody"]["content"]["application/json"]
    answers = [await gateway.client.post(CLASSIFY, json=example["value"]) for example in body["examples"].values()]

    assert [200, 200] == [answer.status_code for answer in answers], json.dumps([each.json() for each in answers])


async def test_documented_references_exist(document: Any) -> None:
    """Every reference inside /openapi.json leads somewhere."""
    wanted = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)))

    def found(reference: str) -> bool:
        place: Any = document
        for key in reference.split("/"):
            if key not in place:
                return False
            place = place[key]
        return True

    assert wanted
    assert [] == [reference for reference in sorted(wanted) if not found(reference)]


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (schemas.Models, "/api/v1/models"),
        (schemas.Model, "/api/v1/models/tiny"),
        (schemas.Alive, "/healthz"),
        (schemas.Ready, "/readyz"),
        (schemas.Error, "/api/v1/models/nope"),
    ],
)
async def test_answers_have_the_documented_shape(gateway: Gateway, schema: Any, path: str) -> None:
    """What is served has every documented field and no other."""
    answer = (await gateway.client.get(path)).json()

    assert answer == TypeAdapter(schema).validate_python(answer, strict=True, extra="forbid").model_dump()


async def test_a_classification_has_the_documented_shape(gateway: Gateway) -> None:
    """The answer has every documented field and no other."""
    answer = (await gateway.client.post(CLASSIFY, json={"image_base64": CAT})).json()

    assert answer == schemas.Classification.model_validate(answer, extra="forbid").model_dump()


async def test_operations_have_short_names(document: Any) -> None:
    """Generated clients get a method name that people would choose."""
    names = {operation["operationId"] for path in document["paths"].values() for operation in path.values()}

    assert {
        "classify",
        "list_models",
        "get_model",
        "healthz",
        "readyz",
        "metrics",
        "submit_feedback",
        "delete_prediction",
        "list_experiments",
        "create_experiment",
        "get_experiment",
        "delete_experiment",
        "start_experiment",
        "set_weights",
        "stop_experiment",
        "promote_arm",
        "get_verdicts",
        "list_verdicts",
        "list_experiment_decisions",
        "list_decisions",
        "pin_version",
        "set_holdout",
    } == names


async def test_every_answer_is_documented_truly(document: Any) -> None:
    """Each status has a schema and an example of its own status; FastAPI's own 422, never sent, is not there."""
    responses = document["paths"][CLASSIFY]["post"]["responses"]
    examples = {
        status: response["content"]["application/json"]["example"]["error"]["code"]
        for status, response in responses.items()
        if status not in ("200", "default")
    }

    assert {str(code): code for code in (400, 404, 413, 415, 429, 503, 504)} == examples
    assert "422" not in json.dumps(document)
    assert "anyOf" in responses["200"]["content"]["application/json"]["schema"]


async def test_every_way_in_is_documented(document: Any) -> None:
    """Media types, options and headers that are read are told."""
    operation = document["paths"][CLASSIFY]["post"]
    content = operation["requestBody"]["content"]

    assert {"image/webp", "image/gif", "image/bmp", "application/octet-stream"} <= content.keys()
    assert {"image", "top_k", "min_score", "model", "version"} == (
        content["multipart/form-data"]["schema"]["properties"].keys()
    )
    assert {"model", "version", "top_k", "min_score", "X-Request-ID", "X-Timeout-Ms", "X-Route-Key", "X-Tenant"} == {
        each["name"] for each in operation["parameters"]
    }


def test_the_example_is_a_small_photograph() -> None:
    """It is a JPEG that fits on the page."""
    content = base64.b64decode(CAT, validate=True)

    assert (b"\xff\xd8\xff", True) == (content[:3], len(content) < 6000)


@pytest.mark.parametrize("path", ["/docs", "/"])
async def test_there_is_a_page_for_people(gateway: Gateway, path: str) -> None:
    """/docs is HTML, and / leads there."""
    response = await gateway.client.get(path, follow_redirects=True)

    assert (200, "text/html; charset=utf-8") == (response.status_code, response.headers["Content-Type"])


async def test_the_page_comes_from_the_gateway_alone(gateway: Gateway) -> None:
    """Whatever /docs loads is served by the gateway, and nothing is asked of anybody else."""
    page = (await gateway.client.get("/docs")).text
    assets = re.findall(r'(?:src|href)="([^"]+)"', page)
    loaded = [await gateway.client.get(asset) for asset in assets]
    styles = [each.text for each in loaded if each.headers["Content-Type"].startswith("text/css")]

    assert assets
    assert [200] * len(assets) == [each.status_code for each in loaded]
    assert [] == [asset for asset in assets if not asset.startswith("/")]
    assert "https://" not in page
    assert '"validatorUrl": null' in page
    assert [] == [url for style in styles for url in re.findall(r"url\(([^)]*)\)", style) if "//" in url[:10]]
