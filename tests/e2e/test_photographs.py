"""Real photographs through the whole cluster."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from e2e.cluster import PHOTOGRAPHS, ROOT, Cluster

from servicekit.manifest import Recipe, read_manifest
from services.preprocess.reference import reference_array

MODEL = ROOT / "triton_models" / "efficientnet_lite0"
CATS = {281, 282, 283, 284, 285}
CUPS = {504, 967, 968}  # coffee mug, espresso, cup
ROCKETS = {657, 744, 812}  # missile, projectile, space shuttle
SHOWN = {"chelsea.png": CATS, "coffee.png": CUPS, "rocket.jpg": ROCKETS}


@cache
def bare_model() -> tuple[Any, Recipe]:
    """The committed model in full precision, without any service, and its recipe."""
    network = openvino.Core().compile_model(MODEL / "1" / "model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return network, read_manifest(MODEL).input


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_the_answer_is_right(name: str, cluster: Cluster) -> None:
    """The class at rank 1 is what the photograph shows."""
    best = cluster.post((PHOTOGRAPHS / name).read_bytes()).json()["predictions"][0]
    assert best["index"] in SHOWN[name], best


@pytest.mark.parametrize("path", sorted(PHOTOGRAPHS.glob("*.*g")), ids=lambda path: path.name)
def test_the_cluster_agrees_with_the_bare_model(path: Path, cluster: Cluster) -> None:
    """Rank 1 through the whole cluster is rank 1 of the bare model on the reference preprocessing."""
    network, recipe = bare_model()
    content = path.read_bytes()
    expected = int(np.argmax(network(reference_array(content, recipe)[None])[0][0]))
    assert expected == cluster.post(content).json()["predictions"][0]["index"]
