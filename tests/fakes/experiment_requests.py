"""Requests of experiments and feedback over HTTP, and where to find what an error says."""

from typing import Any

import httpx

V1 = "/api/v1"
TRIAL = f"{V1}/experiments/trial"
FEEDBACK = f"{V1}/feedback"
ONE: dict[str, Any] = {"prediction_id": "p", "label_index": 281}
BODY: dict[str, Any] = {
    "name": "trial",
    "model": "other",
    "arms": [{"name": "a", "version": "1", "weight": 1}, {"name": "b", "version": "2", "weight": 1}],
}


def error_of(response: httpx.Response) -> dict[str, Any]:
    """Returns the error that a response holds."""
    error: dict[str, Any] = response.json()["error"]
    return error


def field_of(response: httpx.Response) -> str:
    """Returns the path of the field at fault; empty where none is."""
    bad = [detail for detail in error_of(response)["details"] if detail["@type"].endswith("BadRequest")]
    return str(bad[0]["field_violations"][0]["field"]) if bad else ""
