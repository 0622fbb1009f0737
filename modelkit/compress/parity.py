"""Holds the engines against what an INT8 file says: its Q/DQ pairs computed one by one, in floats.

An engine fuses the pairs into integer kernels and rounds where two numbers are equally near, or in between, in its own
way. Each such rounding is a step of INT8, and later layers carry it on; so the engines agree less than on floats.
"""

import numpy as np
import onnxruntime
import torch

from modelkit.export_run import Network, check_parity
from modelkit.variants import Pictures
from servicekit.manifest import Recipe as Input

INT8_TOLERANCE = 0.1
"""Most that a logit of an engine may be from the file's, as a share of the largest logit. Sound engines are up to 0.05
away on Fashion-MNIST's networks and 0.07 on EfficientNet-Lite0; sums that saturate, for want of VNNI, 0.9."""
PICTURES = 128
"""That are asked at most."""


def check_int8(data: bytes, pictures: Pictures, recipe: Input) -> dict[str, float]:
    """Compares ONNX Runtime and OpenVINO, as they optimise an INT8 file, with the file in floats.

    Args:
        data: the file.
        pictures: such as the network knows, of which the first ones are asked.
        recipe: what the network takes.

    Returns:
        By engine: the largest difference of a logit, as a share of the largest logit.

    Raises:
        ParityError: an engine is further away than `INT8_TOLERANCE`.
    """
    return check_parity(
        in_floats(data, recipe.tensor),
        data,
        recipe,
        tolerance=INT8_TOLERANCE,
        pictures=np.array(pictures[:PICTURES]),
        than="the INT8 file in floats",
    )


def in_floats(data: bytes, tensor: str) -> Network:
    """Returns what a file with Q/DQ pairs answers where nothing is fused.

    Args:
        data: the file.
        tensor: name of its input.
    """
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, plain, providers=["CPUExecutionProvider"])
    return lambda pixels: torch.from_numpy(session.run(None, {tensor: pixels.numpy()})[0])
