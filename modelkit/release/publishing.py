"""Judges a trained run and publishes it as a version of a model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from itertools import islice
from pathlib import Path

from modelkit.data.store import Dataset, open_dataset
from modelkit.engine import float_precision
from modelkit.evaluate.cost import latencies_ms
from modelkit.evaluate.pictures import labelled
from modelkit.evaluate.robustness import options_of
from modelkit.gate import GateError, Passed
from modelkit.publish import Card, PublishError, Release, check_name, live_version, model_card, publish
from modelkit.release.candidate import (
    LINEAGE_FILE,
    Candidate,
    check_evaluation,
    check_file,
    origin,
    parent_name,
    read_candidate,
)
from modelkit.release.gates import (
    CANDIDATE,
    LIVE,
    PARENT,
    Baseline,
    Check,
    Limits,
    Measured,
    Robust,
    check_labels,
    checks,
    compared,
    evaluated_robustness,
    judge,
    published_robustness,
)
from modelkit.release.golden import GOLDEN_FILE, ask_golden, choose, render
from modelkit.release.structure import Precision, check_structure
from modelkit.release.trial import SPLIT, Tried, try_models
from modelkit.release.versions import model_bytes, next_version
from modelkit.signing.manifests import open_manifest
from modelkit.signing.signer import Signer
from modelkit.tensorrt.gate import Verdict, check_tensorrt
from servicekit.manifest import MANIFEST_FILE, Manifest, Output, read_manifest

_AGAIN = "candidate again"
"""The candidate's file once more: an engine whose threads race answers otherwise now and then."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Says what to publish, and as what."""

    source: Path
    """Folder of a run, or an ONNX file in one."""
    name: str
    """Of the model."""
    version: str = ""
    """A positive integer; empty for the next one."""
    parent: Path | None = None
    """Run to agree with, by default the live version; and to be as robust as, where no live version says how it is.

    Where nothing is live it is by default the run that the candidate began with, such as the floats of an INT8 one."""
    title: str = ""
    license: str = ""
    """By default the data set's."""
    limits: Limits = field(default_factory=Limits)
    keep_live: bool = False
    """Whether what is live stays so, for an experiment to decide."""


@dataclass(frozen=True, slots=True)
class Published:
    """Is what came of it."""

    manifest: Manifest
    version: str
    checks: list[Check]
    tensorrt: Verdict


def publish_run(repository: Path, datasets: Path, plan: Plan, signer: Signer | None = None) -> Published:
    """Publishes a run when it passes every gate; the repository stays as it is when it does not.

    Raises:
        SignatureError: the model is signed and there is no signer, or the signer does not trust what is there.
        GateError: a gate refused, with the number, the limit and by how much.
        DataError: the data set that the run was trained on is not here.
        PublishError: the name is none, the model has other labels or another input, or the version holds another file.
        ManifestError: the model's manifest is wrong.
    """
    check_name(plan.name)
    if (repository / plan.name / MANIFEST_FILE).exists():
        open_manifest(repository / plan.name, signer)  # rather than after minutes of gates
    candidate = read_candidate(plan.source)
    check_file(candidate)
    check_evaluation(candidate)
    output = Output(classes=len(candidate.labels))
    precision = check_structure(candidate.onnx, candidate.recipe, output)
    dataset = open_dataset(datasets, candidate.dataset, candidate.dataset_version)
    check_labels(candidate.labels, dataset.labels)
    if not dataset.count(SPLIT):
        raise GateError(f"the accuracy gate: {dataset.folder} has no test split to judge by")
    card = _card(repository, plan, candidate, dataset)
    tensorrt = check_tensorrt(candidate.onnx)
    tried, measured = _measure(repository / card.name, plan, candidate, dataset)
    found = checks(measured, plan.limits)
    judge(found)
    version = plan.version or next_version(repository / card.name, candidate.sha256)
    golden = _golden(dataset, tried)
    facts: dict[str, float | int | str] = {
        "test_pictures": len(tried.labels),
        "golden_pictures": ask_golden(golden, candidate.onnx, candidate.recipe),
        "tensorrt_gate": tensorrt.by,
    }
    release = _release(version, candidate, precision, measured, golden, {**facts, **plan.limits.moved()})
    manifest = publish(repository, card, release, signer, keep_live=plan.keep_live)
    return Published(manifest, version, found, tensorrt)


def _card(repository: Path, plan: Plan, candidate: Candidate, dataset: Dataset) -> Card:
    folder = repository / plan.name
    if (folder / MANIFEST_FILE).exists():
        card = model_card(folder)
        if (card.labels, card.input) != (candidate.labels, candidate.recipe):
            raise PublishError(
                f"{plan.name} is out with another input or other labels, which its versions share: choose another name"
            )
        return card
    return Card(
        name=plan.name,
        title=plan.title or plan.name,
        description=f"Tells {len(candidate.labels)} classes apart, learned from the data set {candidate.dataset}.",
        license=plan.license or dataset.manifest.license,
        source={"data": f"{dataset.manifest.source} ({dataset.manifest.license})"},
        input=candidate.recipe,
        output=Output(classes=len(candidate.labels)),
        labels=candidate.labels,
    )


def _measure(folder: Path, plan: Plan, candidate: Candidate, dataset: Dataset) -> tuple[Tried, Measured]:
    models = {CANDIDATE: candidate.onnx}
    manifest = read_manifest(folder) if (folder / MANIFEST_FILE).exists() else None
    if manifest is not None:
        models[LIVE] = model_bytes(folder, manifest, live_version(manifest))
    parent_folder = plan.parent or (origin(candidate) if manifest is None else None)
    with_whom = read_candidate(parent_folder) if parent_folder is not None else None
    if with_whom is not None:
        check_evaluation(with_whom)
        models[PARENT] = with_whom.onnx
    tried = try_models(dataset, candidate.recipe, {**models, _AGAIN: candidate.onnx})
    parent = next((name for name in (PARENT, LIVE) if name in models), None)
    agreement = tried.agreement(CANDIDATE, parent) if parent and models[parent] != candidate.onnx else None
    return tried, Measured(
        top1={name: tried.top1(name) for name in models},
        agreement=agreement,
        offline_top1=candidate.offline_top1,
        latency_ms=latencies_ms(models, candidate.recipe, 1),
        robustness=evaluated_robustness(candidate.evaluation),
        baseline=_baseline(manifest, with_whom, candidate),
        steadiness=tried.steadiness(CANDIDATE, _AGAIN),
        said=_said(manifest, candidate),
    )


def _said(manifest: Manifest | None, candidate: Candidate) -> Mapping[str, float | int | str]:
    """Returns what the manifest says of the live version where that is the candidate's file."""
    live = manifest.versions[live_version(manifest)] if manifest is not None else None
    return live.accuracy if live is not None and live.artifacts["cpu"].sha256 == candidate.sha256 else {}


def _baseline(manifest: Manifest | None, parent: Candidate | None, candidate: Candidate) -> Baseline | None:
    """Returns what the live version's manifest says of its robustness, else what the parent's evaluation does."""
    live = manifest.versions[live_version(manifest)] if manifest is not None else None
    if live is not None and (robust := published_robustness(live.accuracy)) is not None:
        return _held("live version", robust, live.artifacts["cpu"].sha256, candidate)
    if parent is not None and (robust := evaluated_robustness(parent.evaluation)) is not None:
        return _held("parent", robust, parent.sha256, candidate)
    return None


def _held(whose: str, robust: Robust, sha256: str, candidate: Candidate) -> Baseline:
    command = f"triptych model evaluate {candidate.folder} {options_of(robust.protocol)}".rstrip()
    return Baseline(whose, robust, sha256 == candidate.sha256, command)


def _golden(dataset: Dataset, tried: Tried) -> bytes:
    answers = tried.answers[CANDIDATE]
    rows = choose(answers)
    wanted = set(rows)
    last = islice(labelled(dataset, SPLIT), max(rows, default=-1) + 1)
    return render([record for index, record in enumerate(last) if index in wanted], answers[rows])


def _release(
    version: str,
    candidate: Candidate,
    precision: Precision,
    measured: Measured,
    golden: bytes,
    facts: Mapping[str, float | int | str],
) -> Release:
    figures: dict[str, float | int | str] = {
        "test_top1": round(measured.top1[CANDIDATE], 5),
        **facts,
        "training_top1": round(candidate.offline_top1, 5),
        "latency_1_thread_ms": round(measured.latency_ms[CANDIDATE], 3),
        **compared(measured),
    }
    return Release(
        version,
        candidate.onnx,
        Passed(candidate.sha256, figures),
        lineage=_lineage(candidate),
        accuracy={**figures, "source": _source(candidate)},
        precision=precision,
        temperature=float(candidate.evaluation.get("temperature", 1.0)),
        files={GOLDEN_FILE: golden, LINEAGE_FILE: (json.dumps(candidate.lineage, indent=2) + "\n").encode()},
    )


def _lineage(candidate: Candidate) -> dict[str, str]:
    known = candidate.lineage
    parents = {role: parent_name(parent) for role, parent in known.get("parents", {}).items()}
    steps = {key: str(known[key]) for key in ("step", "run", "recipe_sha256", "model_sha256") if key in known}
    dataset = f"{candidate.dataset} {candidate.dataset_version}"
    return {"command": "triptych model publish", **steps, "dataset": dataset, **parents}


def _source(candidate: Candidate) -> str:
    return (
        f"measured on the test split of {candidate.dataset} {candidate.dataset_version}, through serving's "
        f"preprocessing and OpenVINO {metadata.version('openvino')} on a CPU where it computes in {float_precision()}"
    )
