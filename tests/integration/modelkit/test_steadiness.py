"""Answers that do not depend on how an engine's threads run: the engine, and the gate in front of it."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import openvino
import pytest
from candidates import colour_dataset, colour_run
from strided import SIDE, pictures, strided_model

from modelkit import engine
from modelkit.compress.strides import without_strides
from modelkit.gate import GateError, Logits
from modelkit.release import trial
from modelkit.release.publishing import Plan, publish_run
from modelkit.release.structure import check_structure
from modelkit.variants import Pictures
from servicekit.manifest import Output, Recipe

ASKED = 400


@pytest.mark.parametrize("channels", [24, 32, 40, 56])
def test_two_threads_answer_as_one(channels: int) -> None:
    """A 1 x 1 convolution in INT8 that leaves pixels out says the same each time; by itself OpenVINO does not."""
    core, x = openvino.Core(), pictures(channels, 8)
    model = core.read_model(without_strides(strided_model(channels)))
    model.reshape(x.shape)
    one, two = (core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads}) for threads in (1, 2))
    expected = one(x)["one"].copy()
    assert ASKED == sum(np.array_equal(expected, two(x)["one"]) for _ in range(ASKED))


def test_a_file_whose_threads_would_race_is_refused() -> None:
    """The structure gate names the convolution, however seldom the race is lost on this machine."""
    recipe, output = Recipe(width=SIDE, height=SIDE, crop=1.0), Output(classes=3)
    refusal = r"strided INT8 convolutions of 1 x 1 \(one_sum\), whose threads"
    with pytest.raises(GateError, match=refusal):
        check_structure(strided_model(24), recipe, output)
    with pytest.raises(GateError) as other:
        check_structure(without_strides(strided_model(24)), recipe, output)
    assert "threads" not in str(other.value)


def test_a_candidate_that_is_answered_otherwise_each_time_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One picture in 40 whose logits are not the same to the last bit is enough, where no first class changes."""
    calls = count()

    def racing(model: bytes) -> Callable[[Pictures], Logits]:
        answer = engine.compiled(model)

        def ask(asked: Pictures) -> Logits:
            answers = answer(asked)
            answers[0] += np.float32(1e-4 * next(calls))
            return answers

        return ask

    dataset = colour_dataset(tmp_path / "colours")
    run = colour_run(tmp_path / "run", dataset)
    monkeypatch.setattr(trial, "compiled", racing)
    with pytest.raises(GateError, match=r"the steadiness gate: .* is 0.9750, at least 1.0000 is allowed: 0.0250 below"):
        publish_run(tmp_path / "models", dataset.folder.parents[1], Plan(run, "colours"))
    assert not (tmp_path / "models" / "colours").exists()
