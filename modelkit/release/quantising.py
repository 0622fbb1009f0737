"""Quantises a published version and publishes the result as another version, if every gate lets it pass."""

import hashlib
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np

from modelkit import measure as measuring
from modelkit.engine import float_precision
from modelkit.publish import PublishError, Release, check_number, model_card, publish
from modelkit.quantise import quantise
from modelkit.release.golden import GOLDEN_FILE
from modelkit.release.photographs import MAX_SLOWDOWN, Trial, judge_by_photographs
from modelkit.release.publishing import Published
from modelkit.release.versions import find_version, model_bytes
from modelkit.signing.manifests import open_manifest
from modelkit.signing.signer import Signer
from modelkit.variants import Pictures, photographs, unchanged, variants
from servicekit.manifest import Recipe, Version

VARIANTS_EACH = 15
SEED = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Says what to quantise and with which pictures."""

    parent: str
    """Version to quantise; empty for the live one."""
    version: str
    """Version to publish."""
    calibration: Path
    """Folder with the photographs that set the ranges of the activations and fit weights and biases."""
    photographs: Path
    """Folder with the photographs that judge; others than those that calibrate."""
    float_convolutions: int
    """Convolutions, counted from the input, that stay in floating point, beside the depthwise ones."""
    max_slowdown: float = MAX_SLOWDOWN
    """Times the parent's time for a picture."""


def publish_quantised(repository: Path, name: str, plan: Plan, signer: Signer | None = None) -> Published:
    """Quantises a version of a model and publishes it as another version, if it passes every gate.

    Raises:
        GateError: the parent's file is damaged, or a gate refuses the quantised one, with the number and by how much.
        ParityError: the engines do not answer as the quantised file says.
        NoPhotographsError: a folder of photographs is empty.
        PublishError: there is no such parent, the version holds another model, or a photograph calibrates and judges.
        ManifestError: the model's manifest is missing or wrong.
        SignatureError: the model is signed and there is no signer, or the signer does not trust what is there.
    """
    check_number(plan.version)
    _keep_apart(plan)
    folder = repository / name
    manifest, chosen = find_version(repository, name, plan.parent)
    plan = replace(plan, parent=chosen)
    open_manifest(folder, signer)  # rather than after minutes of gates
    original = model_bytes(folder, manifest, plan.parent)
    pictures = _calibration(plan.calibration, manifest.input)
    candidate = quantise(original, pictures, tensor=manifest.input.tensor, float_convolutions=plan.float_convolutions)
    trial = Trial(
        original, candidate, plan.parent, plan.photographs, manifest.input, manifest.output, plan.max_slowdown
    )
    judged = judge_by_photographs(trial)
    parent = manifest.versions[plan.parent]
    release = Release(
        plan.version,
        candidate,
        judged.passed,
        lineage=_lineage(name, plan, parent),
        accuracy={**judged.passed.figures, "source": _source(plan)},
        precision="int8",
        temperature=parent.temperature,
        files={GOLDEN_FILE: judged.golden},
    )
    published = publish(repository, model_card(folder), release, signer)
    return Published(published, plan.version, judged.checks, judged.tensorrt)


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
        "method": "after training; symmetric: activations int8 per tensor (largest magnitude seen), weights int8 per "
        "channel, of which seven bits are used (-64 to 64), so that no CPU's sums saturate, rounded one after the "
        "other so that errors cancel (GPTQ); biases float, corrected for what rounding the weights shifts on average; "
        f"the first {plan.float_convolutions} convolutions and all depthwise ones stay in floating point, with weights "
        "that bf16 holds, rounded and corrected likewise",
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
