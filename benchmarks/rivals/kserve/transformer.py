"""KServe's transformer: decodes JPEGs, asks the predictor over gRPC, and ranks its logits."""

import logging
import socket
from typing import Any

import numpy as np
from kserve import InferInput, InferRequest, InferResponse, Model, ModelServer
from kserve.predictor_config import PredictorConfig
from kserve.protocol.rest.server import RESTServer

from benchmarks.bare import Bare
from benchmarks.rivals.answers import answer


class Transformer(Model):  # type: ignore[misc] # kserve ships no types
    """Decodes before and ranks after; `predict` is KServe's own and calls the predictor."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._bare = Bare(batches=())
        self.ready = True

    async def preprocess(self, payload: bytes, *_: Any) -> InferRequest:
        """Returns what the predictor gets: uint8 `[1, 224, 224, 3]`."""
        pixels = self._bare.decode(payload)[np.newaxis]
        tensor = InferInput("pixels", list(pixels.shape), "UINT8")
        tensor.set_data_from_numpy(pixels)
        return InferRequest(self.name, [tensor])

    async def postprocess(self, result: InferResponse, *_: Any) -> dict[str, Any]:
        """Returns what becomes JSON."""
        return answer(self._bare.rank(result.outputs[0].as_numpy())[0])


def serve(listener: socket.socket, predictor: str) -> None:
    """Serves HTTP on a socket that listens, for ever.

    KServe's own command can only listen on every interface; this is what it does, with a socket of ours.
    """
    logging.disable(logging.INFO)  # else three lines per request
    config = PredictorConfig(predictor, "grpc-v2")
    models = ModelServer(predictor_config=config, enable_latency_logging=False)
    models.register_model(Transformer("model"))
    rest = RESTServer("kserve.model_server:app", models.dataplane, models.model_repository_extension, 0)
    rest.run(sockets=[listener])
