import json
import struct
import tomllib

import pytest

from benchmarks.rivals import environment
from benchmarks.rivals.launch import RIVALS, Running
from benchmarks.rivals.wire import WIRES
from benchmarks.workload import ROOT

pytestmark = pytest.mark.unit


def _pins(text: str) -> dict[str, str]:
    lines = (line.split("==") for line in text.splitlines() if "==" in line)
    return {name.lower().replace("_", "-"): version for name, version in lines}


def _rival(name: str) -> Running:
    return Running(name, 8000, 1, WIRES[name])


def test_rivals_compute_with_the_versions_that_the_services_use() -> None:
    """Every pin of the shared functions is the one of constraints.txt."""
    constraints = _pins((ROOT / "constraints.txt").read_text())
    functions = _pins(environment.FUNCTIONS.read_text())
    assert {name: constraints.get(name) for name in functions} == functions


def test_rivals_get_all_that_decoding_needs() -> None:
    """A library that the preprocess service gains is in the rivals' list too."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    libraries = {line.split(">")[0] for line in extras["preprocess"] if not line.startswith("triptych")}
    assert set() == libraries - _pins(environment.FUNCTIONS.read_text()).keys()


@pytest.mark.parametrize("name", RIVALS)
def test_requirements_are_exact(name: str) -> None:
    """Each rival lists the shared functions and otherwise exact versions, its own NumPy among them."""
    first, *rest = environment.requirements(name).read_text().splitlines()
    assert first == "--requirement ../functions.txt"
    assert len(rest) == len(_pins("\n".join(rest)))
    assert "numpy" in _pins("\n".join(rest))


def test_triton_keeps_numpy_1() -> None:
    """With NumPy 2 the outputs of Triton's Python backend come back empty, without a word."""
    assert _pins(environment.requirements("triton").read_text())["numpy"].startswith("1.")


@pytest.mark.parametrize("name", RIVALS)
def test_a_request_carries_the_picture_as_it_is(name: str) -> None:
    """No rival is made to decode base64: the JPEG is the body."""
    request = _rival(name).request(b"\xff\xd8jpeg")
    assert request.body == b"\xff\xd8jpeg"
    assert request.path.startswith("/")


@pytest.mark.parametrize("name", [name for name in RIVALS if name != "triton"])
def test_the_best_class_of_json(name: str) -> None:
    """The first prediction counts."""
    body = json.dumps({"predictions": [{"index": 282, "score": 0.9}, {"index": 7, "score": 0.1}]}).encode()
    assert _rival(name).top1(body) == 282


@pytest.mark.parametrize("index_first", [True, False])
def test_the_best_class_of_tensors(index_first: bool) -> None:
    """Binary tensors follow the JSON in its order, whatever their bytes look like as text."""
    tensors = {"index": struct.pack("<2i", 282, 7), "score": struct.pack("<2f", 0.9, -0.1)}
    order = ["index", "score"] if index_first else ["score", "index"]
    outputs = [{"name": name, "parameters": {"binary_data_size": len(tensors[name])}} for name in order]
    body = json.dumps({"model_name": "ensemble", "outputs": outputs}).encode() + b"".join(
        tensors[name] for name in order
    )
    assert _rival("triton").top1(body) == 282
