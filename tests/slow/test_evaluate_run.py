"""Evaluating what training and quantising left: the INT8 run beside the fp32 run that it was made of."""

import json
from pathlib import Path

import pytest
from candidates import colour_dataset
from slow.toy_training import toy_recipe

from modelkit.compress.quantise import Quantising, quantise_run
from modelkit.evaluate.evaluate import Options, evaluate_run
from modelkit.evaluate.subject import Shelf
from modelkit.release.gates import Limits
from modelkit.release.publishing import Plan, publish_run
from modelkit.train.train import Places, train

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning"),  # torch's exporter, about itself
    pytest.mark.filterwarnings("ignore::DeprecationWarning:onnxruntime"),
]


def test_an_int8_run_beside_its_parent(tmp_path: Path) -> None:
    """Both are asked about the same pictures; torch counted as many multiply-accumulates; publishing takes it all."""
    colour_dataset(tmp_path, splits=("train", "val", "test"))
    changes = ("dataset={name: colours}", "input={width: 8, height: 8, crop: 1.0}", "augment={}", "epochs=15")
    places = Places(tmp_path / "datasets", tmp_path / "runs", tmp_path / "pixels")
    train(toy_recipe(tmp_path, *changes), places)
    run = quantise_run(Quantising(name="int8", parent=tmp_path / "runs" / "toy", calibration=8), places)
    shelf = Shelf(tmp_path / "models", tmp_path / "datasets")
    found = evaluate_run(run, shelf, Options(pictures=8))
    assert [("int8", "quantise"), ("toy", "train")] == [
        (each["name"], each["made"]) for each in (found, *found["relatives"])
    ]
    assert {1.0} == {each["accuracy"]["top1"] for each in (found, *found["relatives"])}
    macs = json.loads((run / "result.json").read_text())["macs"]
    assert [macs, macs] == [each["cost"]["macs"] for each in (found, *found["relatives"])]
    assert "0 of " not in found["cost"]["int8_convolutions"]
    assert found["cost"]["file_bytes"] < found["relatives"][0]["cost"]["file_bytes"]
    done = publish_run(shelf.repository, shelf.datasets, Plan(run, "toy", limits=Limits(max_parity_gap=0.05)))
    version = done.manifest.versions["1"]
    assert found["temperature"] == version.temperature
    assert found["robustness"]["mean_top1"] == pytest.approx(version.accuracy["robustness_mean_top1"], abs=1e-5)
