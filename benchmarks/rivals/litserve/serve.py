"""LitServe: API servers in front of worker processes. `python -m benchmarks.rivals.litserve.serve PORT`."""

import sys
from typing import Annotated, Any

import litserve
from fastapi import Body

from benchmarks.bare import Bare
from benchmarks.rivals.answers import BATCHES, answer, classify
from services.postprocess.ranking import Ranked

WORKERS = 2
API_SERVERS = 1
BATCH = 8
BATCH_TIMEOUT_S = 0.001


class Classifier(litserve.LitAPI):  # type: ignore[misc] # Any where LitServe is not installed
    """Classifies batches of JPEGs."""

    def setup(self, device: str) -> None:  # noqa: ARG002 (there is but one)
        """Compiles the model, once per worker."""
        self._bare = Bare(batches=BATCHES)

    def decode_request(self, request: Annotated[bytes, Body()]) -> bytes:
        """Takes the body as it is."""
        return request

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        """Keeps pictures of a batch apart, since they are of many sizes."""
        return inputs

    def predict(self, x: Any) -> Any:
        """Returns the ranked classes of each picture."""
        return classify(self._bare, x) if isinstance(x, list) else self._bare.classify(x)

    def unbatch(self, output: list[list[Ranked]]) -> list[list[Ranked]]:
        """Has nothing to take apart."""
        return output

    def encode_response(self, output: list[Ranked]) -> dict[str, Any]:
        """Returns what becomes JSON."""
        return answer(output)


if __name__ == "__main__":
    api = Classifier(max_batch_size=BATCH, batch_timeout=BATCH_TIMEOUT_S)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=WORKERS, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=API_SERVERS,
        generate_client_file=False,
        log_level="warning",
    )
