"""Quantises an ONNX file to INT8 after its training, with nothing but photographs.

The result is explicit Q/DQ, symmetric, that OpenVINO, ONNX Runtime and TensorRT all compute in INT8. What no training
brings back is kept small by three means: errors of weights that cancel (`modelkit.weight_rounding`), floats that every
CPU holds alike (`modelkit.bf16_weights`), and biases that take back what is left on average
(`modelkit.bias_correction`).

Depthwise convolutions stay in floating point: they wait for memory more than they compute, and symmetric INT8 makes
OpenVINO's slower on CPUs with VNNI, not faster.
"""

from modelkit.bf16_weights import with_bf16_weights
from modelkit.bias_correction import corrected
from modelkit.compress.qdq import prepared, quantised
from modelkit.variants import Pictures
from modelkit.weight_rounding import with_cancelling_errors


def quantise(model: bytes, pictures: Pictures, *, tensor: str, float_convolutions: int) -> bytes:
    """Quantises an ONNX file.

    Args:
        model: the file, with float weights.
        pictures: what the ranges of the activations are taken from, and what weights and biases are fitted to.
        tensor: name of the model's input.
        float_convolutions: convolutions, counted from the input, that stay as they are: the first ones, on large maps
            with few channels, add most of the noise when they are quantised.
    """
    plain = prepared(model)
    small = quantised(
        plain,
        pictures,
        tensor=tensor,
        method="minmax",
        float_convolutions=float_convolutions,
        float_depthwise=True,
    )
    rounded = with_cancelling_errors(small, plain, pictures, tensor=tensor)
    return corrected(with_bf16_weights(rounded), plain, pictures, tensor=tensor)
