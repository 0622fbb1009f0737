"""The search for a smaller network."""

import json
import tempfile
from pathlib import Path

import pytest
from slow.toy_pruning import toy_prune_recipe
from slow.toy_training import toy_pictures, toy_recipe

from modelkit.compress.ladder import Wanted
from modelkit.compress.search import Search, compress
from modelkit.release.candidate import check_file, read_candidate
from modelkit.train.run import sha256
from modelkit.train.train import Pictures, Places, train

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning"),  # torch's exporter, about itself
]


def _pictures(*_: object) -> Pictures:
    """Returns the toy's pictures, whose `val` also stands for `test`."""
    with tempfile.TemporaryDirectory() as scratch:
        pictures = toy_pictures(toy_recipe(Path(scratch)), Places())
    return Pictures(pictures.dataset, pictures.labels, {**pictures.splits, "test": pictures.splits["val"]})


def test_a_search_measures_each_candidate_once(tmp_path: Path) -> None:
    """The network, a pruned one and both in INT8, and a choice that can be published.

    A search that was cut off makes only what is missing, and other bounds make nothing.
    """
    places = Places(runs=tmp_path)
    run = train(toy_recipe(tmp_path, "epochs=12", "augment={}", "ema=null"), places, load=_pictures)
    search = Search(run, toy_prune_recipe(run), (0.4,))
    found = compress(search, Wanted(max_drop=100), places, read=_pictures)
    assert ["toy", "toy-int8", "toy-without-40", "toy-without-40-int8"] == [each.name for each in found.candidates]
    given, _, pruned, _ = found.candidates
    assert pruned.macs <= 0.6 * given.macs
    assert all(each.latency_ms > 0 and each.kilobytes > 0 for each in found.candidates)
    assert {"pareto.png", "candidates.json", "choice.json"} == {path.name for path in found.folder.iterdir()}
    assert found.choice.name is not None
    check_file(read_candidate(tmp_path / found.choice.name))

    written = json.loads((found.folder / "candidates.json").read_text())
    cut_off = {**written, "candidates": written["candidates"][:3]}
    (found.folder / "candidates.json").write_text(json.dumps(cut_off))
    weights = sha256(tmp_path / "toy-without-40" / "model.safetensors")
    again = compress(search, Wanted(max_drop=0), places, read=_pictures)
    assert found.candidates[:3] == again.candidates[:3]
    assert weights == sha256(tmp_path / "toy-without-40" / "model.safetensors")
    nothing = compress(search, Wanted(target_latency_ms=0), places, read=_pictures)
    assert nothing.choice.name is None
