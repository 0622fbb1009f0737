"""What is sent to Triton and what comes back, in the Open Inference Protocol's messages. Pure."""

from typing import Any

from tritonclient.grpc import model_config_pb2, service_pb2

from servicekit.errors import Internal
from servicekit.manifest import Manifest
from servicekit.parcel import Parcel, ParcelCodec, Piece
from servicekit.tensors import whole

INPUTS = ParcelCodec(service_pb2.ModelInferRequest, (service_pb2.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER,))
OUTPUTS = ParcelCodec(
    service_pb2.ModelInferResponse, (service_pb2.ModelInferResponse.RAW_OUTPUT_CONTENTS_FIELD_NUMBER,)
)
MIN_QUEUE_TIMEOUT_US = 1_000


def inference_request(manifest: Manifest, version: str, rows: int, timeout_s: float) -> Any:
    """Returns the request, without its tensor, for `rows` pictures; in Triton's queue it waits `timeout_s` at most."""
    recipe = manifest.input
    tensor = service_pb2.ModelInferRequest.InferInputTensor(
        name=recipe.tensor, datatype="UINT8", shape=[rows, recipe.height, recipe.width, 3]
    )
    request = service_pb2.ModelInferRequest(
        model_name=manifest.name,
        model_version=version,
        inputs=[tensor],
        outputs=[service_pb2.ModelInferRequest.InferRequestedOutputTensor(name=manifest.output.tensor)],
    )
    request.parameters["timeout"].int64_param = max(MIN_QUEUE_TIMEOUT_US, round(timeout_s * 1e6))
    return request


def checked_logits(answer: Parcel[Any], manifest: Manifest, version: str, rows: int) -> Piece:
    """Returns the logits in an answer, fp32 `[rows, classes]`.

    Raises:
        Internal: it holds another tensor than the manifest promises, or comes from another model.
    """
    expected = [rows, manifest.output.classes]
    response = answer.message
    data = whole(answer.pieces)
    outputs = response.outputs
    if (
        len(outputs) != 1
        or len(answer.pieces) != 1
        or outputs[0].datatype != "FP32"
        or list(outputs[0].shape) != expected
        or len(data) != 4 * rows * expected[1]
    ):
        raise Internal("The model server answered with another tensor than the model's manifest promises.")
    if response.model_name != manifest.name or response.model_version != version:
        raise Internal("The model server answered with another model than it was asked for.")
    return data


def contradiction(manifest: Manifest, config: Any) -> str:
    """Says where a model's configuration breaks its manifest; a tensor of the wrong shape must never become a label."""
    recipe, output = manifest.input, manifest.output
    inputs = [(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in config.input]
    outputs = [(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in config.output]
    if inputs != [(recipe.tensor, model_config_pb2.TYPE_UINT8, [recipe.height, recipe.width, 3])]:
        return "Its configuration has another input than its manifest."
    if outputs != [(output.tensor, model_config_pb2.TYPE_FP32, [output.classes])]:
        return "Its configuration has another output than its manifest."
    if config.max_batch_size < 1:
        return "Its configuration takes no batches."
    return ""
