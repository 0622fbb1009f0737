"""What travels over the two hops that carry data, per image."""

from dataclasses import dataclass

MODEL = "efficientnet_lite0"
VERSION = "1"
TIME_LEFT_MS = 1_000.0
PIXELS_BYTES = 224 * 224 * 3
LOGITS_BYTES = 4 * 1_000
JPEG_BYTES = 75_000


@dataclass(frozen=True, slots=True)
class Hop:
    """Is one method of the contract, with the bytes that an image costs in each direction."""

    name: str
    method: str
    request_bytes: int
    response_bytes: int


INFERENCE = Hop("inference", "/triptych.inference.v1.InferenceService/PredictLogits", PIXELS_BYTES, LOGITS_BYTES)
PREPROCESS = Hop("preprocess", "/triptych.preprocess.v1.PreprocessService/PreprocessImages", JPEG_BYTES, PIXELS_BYTES)
HOPS = {hop.name: hop for hop in (INFERENCE, PREPROCESS)}
