"""What the proofs show the running project: a photograph of a cat."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.request import Request, urlopen

from tools.containers.images import ROOT
from tools.containers.project import Project, ProofError

PHOTOGRAPH = ROOT / "examples" / "chelsea.png"
LABEL = "tiger cat"
MODEL = "efficientnet_lite0"


def classify(project: Project, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Returns what the HTTP API answers to the photograph."""
    url = f"http://{project.address(8080)}/api/v1/classify?top_k=1"
    request = Request(url, PHOTOGRAPH.read_bytes(), {"Content-Type": "image/png", **(headers or {})})
    with urlopen(request, timeout=20) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
        return answer


def best_label(project: Project) -> str:
    """Returns the label that the HTTP API gives the photograph."""
    return str(classify(project)["predictions"][0]["label"])


def expect_label(label: str) -> None:
    """Raises ProofError unless the photograph is said to show what it shows."""
    if label != LABEL:
        raise ProofError(f"the photograph shows a {LABEL}, not a {label}")
