"""Strides that OpenVINO computes wrongly are taken out of a file, which says the same after that."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from strided import pictures, strided_model

from modelkit.compress.strides import without_strides


def _pools(model: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(model).graph.node if node.op_type == "MaxPool"]


@pytest.mark.parametrize("channels", [8, 24, 56])
def test_a_pool_takes_the_place_of_a_stride(channels: int) -> None:
    """The answers are the same; the convolution of 3 x 3 keeps its stride; a second pass finds nothing."""
    before = strided_model(channels)
    after = without_strides(before)
    onnx.checker.check_model(onnx.load_from_string(after), full_check=True)
    assert ["MaxPool"] == _pools(after)
    assert after == without_strides(after)
    x = {"x": pictures(channels, 2)}
    for one, other in zip(*(ReferenceEvaluator(each).run(None, x) for each in (before, after)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("channels", [16, 32, 48])
def test_what_is_answered_rightly_stays(channels: int) -> None:
    """A pool would cost something, and nothing is gained."""
    before = strided_model(channels)
    assert onnx.load_from_string(before) == onnx.load_from_string(without_strides(before))
