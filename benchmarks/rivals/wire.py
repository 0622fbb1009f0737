"""What goes to each rival and comes back from it, over HTTP/1.1."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.load.http1 import HttpRequest

JPEG = {"Content-Type": "image/jpeg"}


def predictions_top1(body: bytes) -> int:
    """Reads `{"predictions": [{"index": 282, "score": 0.9}, ...]}`."""
    return int(json.loads(body)["predictions"][0]["index"])


def tensor_top1(body: bytes) -> int:
    """Reads an answer of the Open Inference Protocol: JSON, then int32 and fp32 tensors; `index` has the best first."""
    text = body.decode("latin-1")  # a character a byte, since what follows the JSON is no text
    answer, start = json.JSONDecoder().raw_decode(text)
    for tensor in answer["outputs"]:
        if tensor["name"] == "index":
            return int.from_bytes(body[start : start + 4], "little", signed=True)
        start += tensor["parameters"]["binary_data_size"]
    raise KeyError("index")


@dataclass(frozen=True, slots=True)
class Wire:
    """Says how one rival is asked and read."""

    path: str
    headers: Mapping[str, str]
    top1: Callable[[bytes], int] = predictions_top1

    def request(self, content: bytes) -> HttpRequest:
        """Returns the request for one JPEG, which is its body as it is."""
        return HttpRequest(self.path, self.headers, content)


WIRES = {
    "mosec": Wire("/inference", JPEG),
    "fastapi": Wire("/classify", JPEG),
    "litserve": Wire("/predict", JPEG),
    "triton": Wire("/v2/models/ensemble/infer", JPEG | {"Inference-Header-Content-Length": "0"}, tensor_top1),
    "kserve": Wire("/v1/models/model:predict", JPEG),
}
SPLITTING = frozenset({"triton", "kserve"})
"""The rivals that split the work into steps that scale alone, as Triptych does with its services apart."""
