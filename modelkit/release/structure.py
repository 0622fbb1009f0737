"""The structure gate: a file that every engine can run, with the input and output that serving knows.

It takes no engine's word for another: OpenVINO takes operators that TensorRT does not, and the other way round.
"""

from typing import Literal

import onnx

from modelkit.compress.strides import racing
from modelkit.gate import GateError
from servicekit.manifest import Output, Recipe

MAX_OPSET = 23
_OPERATORS = """
    Abs Add And ArgMax AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv
    ConvTranspose DepthToSpace DequantizeLinear Div Dropout Elu Equal Erf Exp Expand Flatten Floor Gather
    GatherElements Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish
    Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max
    MaxPool Min Mod Mul Neg Not Or Pad Pow PRelu QuantizeLinear Range Reciprocal ReduceL2 ReduceMax ReduceMean
    ReduceMin ReduceSum Relu Reshape Resize Round Selu Shape Sigmoid Sign Slice Softmax Softplus SpaceToDepth
    Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Unsqueeze Where
"""
OPERATORS = frozenset(_OPERATORS.split())
"""Operators of ONNX that both OpenVINO and TensorRT read, of those that classifiers use."""

Precision = Literal["fp32", "fp16", "int8"]


def check_structure(data: bytes, recipe: Recipe, output: Output) -> Precision:
    """Lets a file pass that serving can run, and says in which precision its weights are.

    Raises:
        GateError: with what is wrong with the file.
    """
    model = _parse(data)
    problems = [*_operators(model), *_input(model, recipe), *_output(model, output), *_threads(model)]
    if problems:
        raise GateError("the structure gate refuses the model: " + "; ".join(problems))
    return _precision(model)


def _parse(data: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_from_string(data)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, the checker and NumPy each have errors of their own
        first = str(error).strip().splitlines()[0]
        raise GateError(f"the structure gate refuses the model: it is no whole ONNX file ({first})") from error
    return model


def _operators(model: onnx.ModelProto) -> list[str]:
    problems = []
    foreign = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
    if foreign:
        problems.append(f"it has operators of {', '.join(foreign)}, and only those of ONNX itself are served")
    unknown = sorted({node.op_type for node in model.graph.node if node.domain in ("", "ai.onnx")} - OPERATORS)
    if unknown:
        problems.append(f"it has the operators {', '.join(unknown)}, which OpenVINO and TensorRT do not both run")
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if not 1 <= opset <= MAX_OPSET:
        problems.append(f"its opset is {opset}, at most {MAX_OPSET} is served")
    if any(weight.data_location == onnx.TensorProto.EXTERNAL for weight in model.graph.initializer):
        problems.append("its weights lie in another file")
    return problems


def _threads(model: onnx.ModelProto) -> list[str]:
    names = ", ".join(node.name or node.output[0] for node in racing(model.graph))
    told = "whose threads OpenVINO lets write into each other's memory; `triptych model quantise` makes files without"
    return [f"it has strided INT8 convolutions of 1 x 1 ({names}), {told}"] if names else []


def _input(model: onnx.ModelProto, recipe: Recipe) -> list[str]:
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    wanted = _told(recipe.tensor, onnx.TensorProto.UINT8, [None, recipe.height, recipe.width, 3])
    problems = _differing("input", [_described(each) for each in inputs], wanted)
    readers = {node.op_type for node in model.graph.node if recipe.tensor in node.input}
    if not problems and readers - {"Shape"} != {"Cast"}:  # a shape is of no type
        problems.append(
            f"its input goes into {', '.join(sorted(readers))}; TensorRT wants it cast before anything else"
        )
    return problems


def _output(model: onnx.ModelProto, output: Output) -> list[str]:
    wanted = _told(output.tensor, onnx.TensorProto.FLOAT, [None, output.classes])
    return _differing("output", [_described(each) for each in model.graph.output], wanted)


def _differing(what: str, found: list[str], wanted: str) -> list[str]:
    return [] if found == [wanted] else [f"its {what} is {' and '.join(found) or 'missing'}, not {wanted}"]


def _described(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    return _told(value.name, tensor.elem_type, [dim.dim_value or None for dim in tensor.shape.dim])


def _told(name: str, kind: int, shape: list[int | None]) -> str:
    dims = ", ".join("any" if size is None else str(size) for size in shape)
    return f"{name} {onnx.TensorProto.DataType.Name(kind).lower()} [{dims}]"


def _precision(model: onnx.ModelProto) -> Precision:
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return "int8"
    half = any(weight.data_type == onnx.TensorProto.FLOAT16 for weight in model.graph.initializer)
    return "fp16" if half else "fp32"
