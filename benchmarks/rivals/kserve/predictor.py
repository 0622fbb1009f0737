"""KServe's predictor: infers pixels, over the Open Inference Protocol on gRPC."""

import asyncio
import logging
from typing import Any

import grpc
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer

from benchmarks.bare import Bare


class Predictor(Model):  # type: ignore[misc] # kserve ships no types
    """Infers."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._bare = Bare()
        self.ready = True

    def predict(self, payload: InferRequest, *_: Any) -> InferResponse:
        """Answers `pixels`, uint8 `[1, 224, 224, 3]`, with `logits`, fp32 `[1, 1000]`."""
        logits = self._bare.infer(payload.inputs[0].as_numpy())
        output = InferOutput("logits", list(logits.shape), "FP32")
        output.set_data_from_numpy(logits)
        return InferResponse(payload.id, self.name, [output])


def serve(address: str) -> None:
    """Serves on one address, for ever.

    KServe's own gRPC server can only listen on every interface; this one is put together from its parts.
    """
    logging.disable(logging.INFO)  # else a line per request
    asyncio.run(_serve(address))


async def _serve(address: str) -> None:
    models = ModelServer()
    models.register_model(Predictor("model"))
    server = grpc.aio.server(interceptors=[ExceptionToStatusInterceptor()])
    servicer = InferenceServicer(models.dataplane, models.model_repository_extension)
    add_GRPCInferenceServiceServicer_to_server(servicer, server)
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()
