"""The TensorRT gate without TensorRT; `tests/slow/test_tensorrt_rtx.py` has the real one."""

import sys

import pytest
from fakes.tensorrt import VERSION, FakeTensorRT

from modelkit.gate import GateError
from modelkit.tensorrt.gate import check_tensorrt


def test_without_tensorrt_the_gate_says_that_it_built_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph passes, and both the manifest and the person read that nobody built it."""
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    verdict = check_tensorrt(b"a graph")
    assert "static" == verdict.by
    assert verdict.sentence().startswith("the TensorRT gate was static only, nothing was built: tensorrt-rtx cannot be")
    assert verdict.sentence().endswith("pip install tensorrt-rtx-cu13")


def test_a_graph_that_is_built_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is built for one GPU, which need not be there, and for the batches that are served."""
    fake = FakeTensorRT()
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", fake)
    assert f"TensorRT-RTX {VERSION} for sm89" == check_tensorrt(b"a graph").by
    (built,) = fake.builds
    assert "SM89" == built.capability.name
    assert ("image", (1, 224, 224, 3), (8, 224, 224, 3), (32, 224, 224, 3)) == built.shapes


@pytest.mark.parametrize(
    ("fake", "words"),
    [
        (
            FakeTensorRT(refusal="In node 3 (Foo):\n  no such thing"),
            "does not read the graph: In node 3 .Foo.: no such",
        ),
        (FakeTensorRT(failure="Error Code 10: no kernel"), "builds no plan: Error Code 10: no kernel$"),
    ],
)
def test_a_refusal_is_in_tensorrts_own_words(monkeypatch: pytest.MonkeyPatch, fake: FakeTensorRT, words: str) -> None:
    """What the parser, or the builder, says is what a person reads, on one line."""
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", fake)
    with pytest.raises(GateError, match=f"the TensorRT gate refuses the model: TensorRT-RTX {VERSION} {words}"):
        check_tensorrt(b"a graph")
