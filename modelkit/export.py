"""Exports a torch module to ONNX bytes that OpenVINO, ONNX Runtime and TensorRT all take."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import onnxscript  # noqa: F401 -- torch's exporter wants it late and obscurely; here its absence is told at once
import torch
from torch import nn

OPSET = 18
"""Old enough for every serving engine, and what torch's exporter targets without converting."""


def export_onnx(module: nn.Module, example: torch.Tensor, *, input_name: str, output_name: str) -> bytes:
    """Exports a module with one input and one output, both batched along a free first dimension.

    The same module gives the same bytes, so a file's sha256 says whether a model changed.

    Args:
        module: the module, in evaluation mode.
        example: an input with at least two rows; the exporter takes a dimension of 1 for a constant.
        input_name: name of the graph's input.
        output_name: name of the graph's output.
    """
    with _quiet():
        program = torch.onnx.export(
            module,
            (example,),
            input_names=[input_name],
            output_names=[output_name],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:  # the exporter's signature allows it, with dynamo it never happens
        raise RuntimeError("torch exported nothing")
    buffer = io.BytesIO()
    program.save(buffer)
    return _portable(buffer.getvalue())


@contextmanager
def _quiet() -> Iterator[None]:
    """Drops what the exporter says to nobody's use: that torchvision is missing, and that its own calls are old."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _portable(data: bytes) -> bytes:
    """Drops the exporter's notes: they hold stack traces with file paths, and differ from machine to machine."""
    model = onnx.load_from_string(data)
    graph = model.graph
    for noted in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        noted.ClearField("metadata_props")
        noted.ClearField("doc_string")
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
