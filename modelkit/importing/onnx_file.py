"""ONNX files from elsewhere: checked, and wrapped so that they take what serving sends.

uint8 NHWC pixels come in; the graph casts them, normalises them, and transposes them where the network wants NCHW. A
file that takes uint8 NHWC already normalises by itself, and only gets serving's names.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from modelkit.importing.preparation import Preparation
from modelkit.train.recipe import RecipeError
from servicekit.manifest import Output

MIN_OPSET, MAX_OPSET = 13, 23
MAX_BYTES = 2**31 - 1
"""Of one protobuf message."""
_OURS = "triptych_"
"""Begins the names of what is added."""
_PROBABILITIES = {"Softmax", "LogSoftmax"}


@dataclass(frozen=True)
class Checked:
    """Is a file that can be wrapped."""

    model: onnx.ModelProto
    name: str
    """Of its input."""
    floats: bool
    """Takes normalised floats; else uint8 pixels."""
    channels_first: bool
    size: tuple[int, int] | None
    """Width and height that it is fixed to, if it is."""
    classes: int | None
    """None where the file does not say."""
    notes: tuple[str, ...]


def check(data: bytes) -> Checked:
    """Reads a file and looks whether it is an image classifier.

    Raises:
        RecipeError: it is no whole ONNX file, its weights lie elsewhere, or its input or output is another.
    """
    model = _parse(data)
    taken = _only("input", [each for each in model.graph.input if each.name not in _weights(model)])
    answer = _only("output", list(model.graph.output))
    kind, shape = taken.type.tensor_type.elem_type, _shape(taken)
    if kind not in (TensorProto.FLOAT, TensorProto.UINT8) or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        told = TensorProto.DataType.Name(kind).lower()
        raise RecipeError(
            f"the input {taken.name} is {told} {shape}: it must be float or uint8, [n, 3, h, w] or [n, h, w, 3]"
        )
    first = shape[1] == 3
    if kind == TensorProto.UINT8 and first:
        raise RecipeError(f"the input {taken.name} is uint8 with the channels first, which TensorRT does not read")
    if answer.type.tensor_type.elem_type != TensorProto.FLOAT or len(_shape(answer)) != 2:
        raise RecipeError(f"the output {answer.name} is no float [n, classes]: {_shape(answer)}")
    height, width = shape[2:] if first else shape[1:3]
    notes = _without_softmax(model)
    fixed = (int(width), int(height)) if isinstance(width, int) and isinstance(height, int) else None
    classes = _shape(answer)[1]
    return Checked(
        model, taken.name, kind == TensorProto.FLOAT, first, fixed, classes if isinstance(classes, int) else None, notes
    )


def wrap(checked: Checked, preparation: Preparation, output: Output) -> bytes:
    """Returns the file as serving takes it: uint8 `[batch, height, width, 3]` in, fp32 logits out.

    Raises:
        RecipeError: it takes another size or has other classes, or what comes out is no valid file.
    """
    takes = preparation.input
    if checked.size not in (None, (takes.width, takes.height)):
        raise RecipeError(f"the file takes {checked.size} pixels, not {takes.width} x {takes.height}")
    if checked.classes not in (None, output.classes):
        raise RecipeError(f"the file has {checked.classes} classes and there are {output.classes} labels")
    model = onnx.ModelProto()
    model.CopyFrom(checked.model)
    graph = model.graph
    _prefix(graph, f"{_OURS}in_")
    name = f"{_OURS}in_{checked.name}"
    first = _before(preparation, checked, name) if checked.floats else []
    if not checked.floats:
        _rename(graph, name, takes.tensor)
    _rename(graph, graph.output[0].name, output.tensor)
    nodes, weights = [*first, *graph.node], list(graph.initializer)
    if checked.floats:
        weights += [_constant("mean", preparation.mean), _constant("std", preparation.std)]
    image = helper.make_tensor_value_info(takes.tensor, TensorProto.UINT8, ["batch", takes.height, takes.width, 3])
    logits = helper.make_tensor_value_info(output.tensor, TensorProto.FLOAT, ["batch", output.classes])
    wrapped = helper.make_graph(nodes, "classifier", [image], [logits], weights)
    made = helper.make_model(wrapped, opset_imports=list(model.opset_import), ir_version=min(model.ir_version, 10))
    try:
        onnx.checker.check_model(made, full_check=True)
    except Exception as error:  # the checker has several kinds
        raise RecipeError(f"the file cannot be wrapped: {str(error).strip().splitlines()[0]}") from error
    return bytes(made.SerializeToString(deterministic=True))


def _before(preparation: Preparation, checked: Checked, name: str) -> list[onnx.NodeProto]:
    """Casts before anything else, as TensorRT wants it."""
    takes, normal = preparation.input.tensor, f"{_OURS}normal" if checked.channels_first else name
    nodes = [
        helper.make_node("Cast", [takes], [f"{_OURS}pixels"], to=TensorProto.FLOAT),
        helper.make_node("Sub", [f"{_OURS}pixels", f"{_OURS}mean"], [f"{_OURS}centred"]),
        helper.make_node("Div", [f"{_OURS}centred", f"{_OURS}std"], [normal]),
    ]
    if checked.channels_first:
        nodes.append(helper.make_node("Transpose", [normal], [name], perm=[0, 3, 1, 2]))
    return nodes


def _constant(name: str, values: tuple[float, float, float]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.float32), f"{_OURS}{name}")


def _prefix(graph: onnx.GraphProto, prefix: str) -> None:
    """Renames all that the graph names, so that nothing in it can have a name of ours."""
    onnx.compose.add_prefix_graph(graph, prefix, inplace=True)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new


def _without_softmax(model: onnx.ModelProto) -> tuple[str, ...]:
    """Takes a last Softmax away: serving wants logits, and divides them by a temperature first."""
    graph = model.graph
    last = next((node for node in graph.node if graph.output[0].name in node.output), None)
    if last is None or last.op_type not in _PROBABILITIES:
        return ()
    axis = next((each.i for each in last.attribute if each.name == "axis"), -1)
    read_again = any(last.output[0] in node.input for node in graph.node)
    if axis not in (-1, 1) or read_again:
        raise RecipeError(f"the file ends with {last.op_type} over axis {axis}; serving wants logits")
    graph.output[0].name = last.input[0]
    graph.node.remove(last)
    return (f"the last operator, {last.op_type}, was left out: serving wants logits",)


def _parse(data: bytes) -> onnx.ModelProto:
    if len(data) > MAX_BYTES:
        raise RecipeError(f"the file has {len(data)} bytes; the limit is {MAX_BYTES}")
    try:
        model = onnx.load_from_string(data)
        alone = not any(each.data_location == TensorProto.EXTERNAL for each in model.graph.initializer)
        if alone:
            onnx.checker.check_model(model)
    except Exception as error:  # protobuf and the checker each have errors of their own
        raise RecipeError(f"it is no whole ONNX file: {str(error).strip().splitlines()[0]}") from error
    foreign = sorted({each.domain for each in model.opset_import} - {"", "ai.onnx"})
    if not alone:
        raise RecipeError("the weights lie in another file: save the model as one")
    if model.functions or foreign:
        raise RecipeError(f"only operators of ONNX itself are served, not those of {', '.join(foreign) or 'functions'}")
    opset = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise RecipeError(f"its opset is {opset}; {MIN_OPSET} to {MAX_OPSET} are read")
    return model


def _weights(model: onnx.ModelProto) -> set[str]:
    return {each.name for each in model.graph.initializer}


def _only(what: str, found: list[onnx.ValueInfoProto]) -> onnx.ValueInfoProto:
    if len(found) != 1:
        raise RecipeError(f"the file has {len(found)} {what}s, one is needed: {', '.join(each.name for each in found)}")
    return found[0]


def _shape(value: onnx.ValueInfoProto) -> list[int | str]:
    return [each.dim_value or each.dim_param or "any" for each in value.type.tensor_type.shape.dim]
