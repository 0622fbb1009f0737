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
    """Reads an answer of the Open Inference Protocol whose tensors are JSON; one is named `index`, best class first."""
    tensors = {tensor["name"]: tensor for tensor in json.loads(body)["outputs"]}
    return int(tensors["index"]["data"][0])


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
}
