"""Models come from a hub by their id: one commit of it, whole or not at all, and never as a pickle.

No test reaches the real hub. Here one on this machine speaks its wire to the real huggingface_hub and transformers.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import transformers
from candidates import LABELS, colour_dataset
from fakes.hub import Hub
from slow.hub_imports import run_import

from modelkit.importing.hub import split_id
from modelkit.release.candidate import parent_name
from modelkit.train.networks import load
from modelkit.train.recipe import RecipeError

pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]  # transformers warns about itself

NOBODY = "http://127.0.0.1:1"
"""Nothing listens there."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Runs a hub."""
    with Hub().running() as hub:
        yield hub


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Returns a folder with a data set of colours."""
    colour_dataset(tmp_path)
    return tmp_path


def classifier(folder: Path, seed: int) -> dict[str, bytes]:
    """Returns the files of a small vision transformer, as `save_pretrained` writes them."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.ViTConfig(**sizes, image_size=16, patch_size=8, id2label=dict(enumerate(LABELS)))
    config.label2id = {name: at for at, name in enumerate(LABELS)}
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def check_alike(run: Path, source: Path) -> None:
    """Holds that a run has the weights of a folder of transformers."""
    expected = transformers.AutoModelForImageClassification.from_pretrained(source).state_dict()
    weights = load(run)[1].net.state_dict()
    assert expected.keys() == weights.keys()
    assert all(torch.equal(value, expected[name]) for name, value in weights.items())


def test_an_id_is_imported_and_its_commit_kept(hub: Hub, root: Path) -> None:
    """The main branch, another and a commit can be asked for; lineage names the commit; offline the cache answers."""
    old = classifier(root / "old", 1)
    first = hub.put("pets/vit", old)
    second = hub.put("pets/vit", classifier(root / "new", 2) | {"pytorch_model.bin": b"pickle", "run.py": b"evil()"})
    hub.put("pets/vit", old, branch="refs/pr/1")
    asked = {"main": ("pets/vit", second), "old": (f"pets/vit@{first}", first), "pr": ("pets/vit@refs/pr/1", first)}
    for name, (source, commit) in asked.items():
        status, said = run_import(root, hub.url, source, name)
        assert 0 == status, said
        parents = json.loads((root / "runs" / name / "lineage.json").read_text())["parents"]
        assert {"weights": {"hub": "pets/vit", "revision": commit}} == parents
        assert f"hub pets/vit@{commit}" == parent_name(parents["weights"])
    for name, folder in {"main": "new", "old": "old", "pr": "old"}.items():
        check_alike(root / "runs" / name, root / folder)
    assert not [path for path in hub.asked if path.endswith((".bin", ".py"))]
    for name, source in {"again": "pets/vit", "pinned": f"pets/vit@{second}"}.items():
        status, said = run_import(root, NOBODY, source, name)
        assert 0 == status, said
        lineage = json.loads((root / "runs" / name / "lineage.json").read_text())
        assert second == lineage["parents"]["weights"]["revision"]


def test_what_a_hub_cannot_give_is_told_in_a_line(hub: Hub, root: Path) -> None:
    """Pickles, unknown names, closed doors and a hub that is away: one line, soon, and no run."""
    files = classifier(root / "model", 1)
    hub.put("pets/vit", files)
    hub.put("pets/gated", files)
    hub.gated.add("pets/gated")
    del files["model.safetensors"]
    hub.put("pets/pickled", files | {"pytorch_model.bin": b"pickle"})
    refused = {
        "pets/pickled": "pets/pickled has no weights as safetensors, and pickles are not fetched from a hub",
        "pets/none": f"{hub.url} has no model pets/none, or shows it to nobody without its HF_TOKEN",
        "pets/vit@v9": "pets/vit has no revision 'v9'",
        "pets/gated": "pets/gated is gated: accept its terms on the hub, and set HF_TOKEN",
        "./pets/vit": "./pets/vit: there is no such folder, and it is no hub id, ORG/NAME or ORG/NAME@REVISION",
    }
    for source, text in refused.items():
        told(run_import(root, hub.url, source, "none"), text)
    assert not [path for path in hub.asked if path.endswith(".bin")]
    told(run_import(root, NOBODY, "pets/vit", "none"), f"pets/vit cannot be fetched from {NOBODY}: ")
    assert not (root / "runs").exists()


def test_a_hub_that_hangs_up_leaves_no_half_run(hub: Hub, root: Path) -> None:
    """A download that breaks off, whenever it is tried, is told in a line; the next import fetches what was missing."""
    files = classifier(root / "model", 1)
    hub.put("pets/vit", files)
    hub.sends_bytes = len(files["model.safetensors"]) // 2
    told(run_import(root, hub.url, "pets/vit", "broken"), f"pets/vit cannot be fetched from {hub.url}: ")
    told(run_import(root, NOBODY, "pets/vit", "broken"), f"pets/vit cannot be fetched from {NOBODY}: ")
    assert not (root / "runs").exists()
    hub.sends_bytes = None
    status, said = run_import(root, hub.url, "pets/vit", "broken")
    assert 0 == status, said
    check_alike(root / "runs" / "broken", root / "model")


def told(answer: tuple[int, str], text: str) -> None:
    """Holds that a command failed with one line of its own, and no list of calls."""
    status, said = answer
    assert 1 == status, said
    assert 1 == len([line for line in said.splitlines() if line.startswith(f"error: {text}")]), said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a/b", ("a/b", None)),
        ("a-1/b.c_2", ("a-1/b.c_2", None)),
        ("a/b@main", ("a/b", "main")),
        ("a/b@refs/pr/1", ("a/b", "refs/pr/1")),
    ],
)
def test_an_id_may_name_a_revision(text: str, found: tuple[str, str | None]) -> None:
    """It comes after an @."""
    assert found == split_id(text)


@pytest.mark.parametrize("text", ["", "a", "a/b/c", "../b", "a/b@", "/a/b", "a/b@-x", "a b/c", "http://a/b"])
def test_other_texts_are_no_ids(text: str) -> None:
    """They never reach a hub."""
    with pytest.raises(RecipeError, match="there is no such folder, and it is no hub id"):
        split_id(text)
