"""Quantises a published model to INT8 after its training, and publishes it when the gate lets it pass.

ONNX Runtime writes the Q/DQ file: weights as int8 with a scale for each channel, activations as uint8. OpenVINO then
computes whole chains of convolutions in INT8.

Weights use seven of the eight bits, -64 to 64. A CPU without VNNI adds two products in 16 bits and cuts what exceeds
them: 2 x 255 x 127 does, 2 x 255 x 64 does not. Weights that stay floats are ones that bf16 holds, since a CPU that has
bf16 rounds them. So the file answers alike on every CPU. What the coarser steps cost comes back through the biases.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from modelkit import measure as measuring
from modelkit.bf16_weights import with_bf16_weights
from modelkit.bias_correction import corrected
from modelkit.compress.qdq import Reader
from modelkit.engine import float_precision
from modelkit.gate import Passed, judge
from modelkit.publish import PublishError, Release, model_card, publish
from modelkit.signing.files import published_bytes
from modelkit.signing.manifests import open_manifest
from modelkit.signing.signer import Signer
from modelkit.variants import Pictures, photographs, unchanged, variants
from servicekit.manifest import Manifest, Recipe, Version

VARIANTS_EACH = 15
SEED = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Says what to quantise and with which pictures."""

    parent: str
    """Version to quantise."""
    version: str
    """Version to publish."""
    calibration: Path
    """Folder with the photographs that set the ranges of the activations and correct the biases."""
    photographs: Path
    """Folder with the photographs that judge; others than those that calibrate."""
    float_convolutions: int
    """Convolutions, counted from the input, that stay in floating point: the first ones, on large maps with few
    channels, add most of the noise when they are quantised."""


def quantise(model: bytes, pictures: Pictures, *, tensor: str, float_convolutions: int) -> bytes:
    """Quantises an ONNX file.

    Args:
        model: the file, with float weights.
        pictures: what the ranges of the activations are taken from, and the corrections of the biases.
        tensor: name of the model's input.
        float_convolutions: convolutions, counted from the input, that stay as they are.
    """
    with tempfile.TemporaryDirectory() as scratch:
        plain, prepared, quantised = (Path(scratch) / f"{name}.onnx" for name in ("plain", "prepared", "quantised"))
        plain.write_bytes(model)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantised,
            Reader(tensor, pictures),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_convolutions(onnx.load(prepared))[:float_convolutions],
        )
        return corrected(with_bf16_weights(quantised.read_bytes()), prepared.read_bytes(), pictures, tensor=tensor)


def _convolutions(model: onnx.ModelProto) -> list[str]:
    return [node.name for node in model.graph.node if node.op_type == "Conv"]


def publish_quantised(repository: Path, name: str, plan: Plan, signer: Signer | None = None) -> Manifest:
    """Quantises a version of a model and publishes it as another version, if it passes the gate.

    Raises:
        GateError: the parent's file is damaged, or the quantised model answers too differently.
        NoPhotographsError: a folder of photographs is empty.
        PublishError: there is no such parent, the version holds another model, or a photograph calibrates and judges.
        ManifestError: the model's manifest is missing or wrong.
        SignatureError: the model is signed and there is no signer, or the signer does not trust what is there.
    """
    _keep_apart(plan)
    folder = repository / name
    manifest = open_manifest(folder, signer)
    if plan.parent not in manifest.versions:
        raise PublishError(f"{name} has no version {plan.parent} to quantise; it has {', '.join(manifest.versions)}")
    parent = manifest.versions[plan.parent]
    artifact = parent.artifacts["cpu"]
    original = published_bytes(folder / artifact.file, artifact.sha256)
    candidate = quantise(
        original,
        _calibration(plan.calibration, manifest.input),
        tensor=manifest.input.tensor,
        float_convolutions=plan.float_convolutions,
    )
    passed = _judged(original, candidate, plan.photographs, manifest.input)
    release = Release(
        plan.version,
        candidate,
        lineage=_lineage(name, plan, parent),
        accuracy={**passed.figures, "source": _source(plan)},
        precision="int8",
        temperature=parent.temperature,
        passed=passed,
    )
    return publish(repository, model_card(folder), release, signer)


def _judged(original: bytes, candidate: bytes, folder: Path, recipe: Recipe) -> Passed:
    """Has a candidate judged as CPUs without bf16 compute it, and as this one does, which gives the figures."""
    judge(candidate, measuring.measure(original, candidate, folder, recipe, precision="f32"))
    return judge(candidate, measuring.measure(original, candidate, folder, recipe))


def _keep_apart(plan: Plan) -> None:
    calibrating, judging = (
        {_sha256(path) for path in photographs(each)} for each in (plan.calibration, plan.photographs)
    )
    if calibrating & judging:
        raise PublishError(
            f"{plan.calibration} and {plan.photographs} share photographs: a judge must be new to the model"
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _calibration(folder: Path, recipe: Recipe) -> Pictures:
    files = photographs(folder)
    return np.concatenate([unchanged(files, recipe), variants(files, recipe, each=VARIANTS_EACH, seed=SEED)])


def _lineage(name: str, plan: Plan, parent: Version) -> dict[str, str]:
    return {
        "command": f"triptych model quantise {name} --from {plan.parent} --version {plan.version}",
        "parent_version": plan.parent,
        "parent_sha256": parent.artifacts["cpu"].sha256,
        "onnxruntime": metadata.version("onnxruntime"),
        "method": "after training; activations uint8 per tensor (smallest and largest value), weights int8 per "
        "channel, of which seven bits are used (-64 to 64), so that no CPU's sums saturate; biases corrected for what "
        f"rounding the weights shifts on average; the first {plan.float_convolutions} convolutions stay in floating "
        "point, with weights that bf16 holds, rounded and corrected likewise",
        "calibration": f"{len(photographs(plan.calibration))} photographs in {plan.calibration.as_posix()}, as they "
        f"are and in {VARIANTS_EACH} variants each (seed {SEED})",
        "calibration_sha256": " ".join(_sha256(path)[:16] for path in photographs(plan.calibration)),
    }


def _source(plan: Plan) -> str:
    return (
        f"measured against version {plan.parent} in f32, on the photographs in {plan.photographs.as_posix()} and on "
        f"{measuring.VARIANTS_EACH} variants of each, with OpenVINO {metadata.version('openvino')} on a CPU where "
        f"it computes what is not INT8 in {float_precision()}"
    )
