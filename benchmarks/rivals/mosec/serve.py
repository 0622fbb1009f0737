"""Mosec: one kind of worker, whose processes get dynamic batches. `python -m benchmarks.rivals.mosec.serve PORT`."""

import json
import sys
from typing import Any

from mosec import Server, Worker

from benchmarks.bare import Bare
from benchmarks.rivals.answers import BATCHES, answer, classify

PROCESSES = 2
BATCH = 8
WAIT_MS = 1


class Classifier(Worker):  # type: ignore[misc] # Any where Mosec is not installed
    """Classifies batches of JPEGs."""

    def __init__(self) -> None:
        super().__init__()
        self._bare = Bare(batches=BATCHES)

    def deserialize(self, data: bytes) -> bytes:
        """Takes the body as it is."""
        return data

    def forward(self, data: list[bytes]) -> list[dict[str, Any]]:
        """Returns an answer for each picture."""
        return [answer(ranked) for ranked in classify(self._bare, data)]

    def serialize(self, data: dict[str, Any]) -> bytes:
        """Returns JSON."""
        return json.dumps(data).encode()


if __name__ == "__main__":
    sys.argv[1:] = ["--address", "127.0.0.1", "--port", sys.argv[1], "--log-level", "warning"]
    server = Server()
    server.append_worker(Classifier, num=PROCESSES, max_batch_size=BATCH, max_wait_time=WAIT_MS)
    server.run()
