"""Models from elsewhere: small ones, made here, become runs that pass the gates, and broken ones do not."""

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from candidates import LABELS, Colours, colour_dataset, colour_model, colour_picture
from safetensors.torch import load_file, save_file
from slow.toy_training import RECIPE
from torch import nn
from typer.testing import CliRunner

from modelkit.cli import app
from modelkit.export_run import export_run
from modelkit.gate import GateError
from modelkit.importing import from_transformers, sandbox
from modelkit.importing.preparation import Preparation, Wishes, of_processor
from modelkit.importing.runs import Importing, import_run
from modelkit.release.publishing import Plan, publish_run
from modelkit.release.structure import check_structure
from modelkit.train.networks import load
from modelkit.train.recipe import Data, Network, RecipeError, load_yaml, parse
from modelkit.train.train import Places
from servicekit.manifest import Output
from services.preprocess.headers import Limits
from services.preprocess.transforms import image_to_array

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),  # torch's exporter and transformers warn about themselves
]

NAMES = dict(enumerate(LABELS))
KINDS: dict[str, tuple[Any, Any]] = {
    "resnet": (
        transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"),
        transformers.ConvNextImageProcessorPil(size={"shortest_edge": 32}, crop_pct=0.875, image_mean=[0.4, 0.5, 0.6]),
    ),
    "vit": (
        transformers.ViTConfig(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=16,
            patch_size=8,
        ),
        transformers.ViTImageProcessorPil(size={"height": 16, "width": 16}, image_std=[0.2, 0.3, 0.4]),
    ),
    "mobilenet_v2": (
        transformers.MobileNetV2Config(image_size=32, depth_multiplier=0.25, min_depth=4, depth_divisible_by=4),
        transformers.MobileNetV2ImageProcessorPil(
            size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}, do_normalize=False
        ),
    ),
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Computes small networks without waiting for other cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a data set of colours."""
    root = tmp_path_factory.mktemp("imports")
    colour_dataset(root)
    return root


def model_folder(folder: Path, kind: str, names: dict[int, str] | None = None, steps: int = 0) -> Path:
    """Saves a small network with its processor, trained for some steps, as `save_pretrained` does."""
    config, processor = copy.deepcopy(KINDS[kind])
    config.id2label = names or NAMES
    config.label2id = {name: at for at, name in config.id2label.items()}
    torch.manual_seed(4)
    net = transformers.AutoModelForImageClassification.from_config(config)
    pictures = [colour_picture(label, 1000 + seed, 40) for seed in range(8) for label in LABELS]
    pixels = from_transformers._opened(pictures)
    batch = processor(images=pixels, return_tensors="pt")["pixel_values"]
    targets, optimiser = torch.arange(32) % 4, torch.optim.Adam(net.parameters(), 0.01)
    net.train()
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(batch).logits, targets).backward()
        optimiser.step()
    net.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def plan(name: str, source: Path | str, **changes: Any) -> Importing:
    """Says what to import."""
    return Importing(name=name, source=str(source), dataset=Data(name="colours"), **changes)


def places(root: Path, runs: Path) -> Places:
    """Says where things are."""
    return Places(root / "datasets", runs, root / "pixels")


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_transformers_becomes_a_run(root: Path, tmp_path: Path, kind: str) -> None:
    """The run takes pixels and answers as the original does after its processor; it exports, for every engine."""
    source = model_folder(tmp_path / "source", kind)
    run = import_run(plan("imported", source), places(root, tmp_path)).folder
    architecture, model = load(run)
    original = transformers.AutoModelForImageClassification.from_pretrained(source)
    picture = colour_picture("green", 7, architecture.input.width * 2)
    pixels = image_to_array(picture, architecture.input, Limits()).pixels
    prepared = KINDS[kind][1](images=from_transformers._opened([picture]), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        mine, theirs = model(torch.from_numpy(pixels.copy())[None]), original(prepared).logits
    normal = (torch.from_numpy(pixels.copy()).float() - model.mean) / model.std
    assert 0.1 > (normal.permute(2, 0, 1) - prepared[0]).abs().max(), "the filters differ by less than a few shades"
    torch.testing.assert_close(mine, theirs, atol=0.02, rtol=0.02)
    exported = export_run(run)
    assert "fp32" == check_structure(exported.model.read_bytes(), architecture.input, Output(classes=4))
    assert (LABELS, "import") == (architecture.labels, json.loads((run / "lineage.json").read_text())["step"])


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a ResNet of transformers that tells colours apart."""
    return model_folder(tmp_path_factory.mktemp("trained"), "resnet", steps=30)


def test_an_imported_network_is_published(root: Path, trained: Path, tmp_path: Path) -> None:
    """Serving finds what the original finds with its own processor."""
    run = import_run(plan("imported", trained), places(root, tmp_path)).folder
    export_run(run)
    done = publish_run(tmp_path / "models", root / "datasets", Plan(run, "imported"))
    accuracy = done.manifest.versions["1"].accuracy
    assert 0.9 <= float(accuracy["test_top1"])
    assert accuracy["training_top1"] == pytest.approx(accuracy["test_top1"], abs=0.005)


def test_a_wrong_translation_is_refused(
    root: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original is asked with its own processor, so that the parity gate sees another mean in the graph."""

    def wrong(told: Any, wishes: Any) -> Preparation:
        return replace(of_processor(told, wishes), mean=(0.0, 0.0, 400.0))

    monkeypatch.setattr(from_transformers, "of_processor", wrong)
    run = import_run(plan("imported", trained), places(root, tmp_path)).folder
    export_run(run)
    with pytest.raises(GateError, match="the parity gate"):
        publish_run(tmp_path / "models", root / "datasets", Plan(run, "imported"))


def test_a_network_that_is_not_whole_is_refused(root: Path, tmp_path: Path) -> None:
    """A weight that is missing would be drawn at random."""
    source = model_folder(tmp_path / "source", "vit")
    weights = load_file(source / "model.safetensors")
    weights.pop("classifier.weight")
    save_file(weights, source / "model.safetensors", {"format": "pt"})
    with pytest.raises(RecipeError, match=r"is not whole: missing_keys classifier\.weight"):
        import_run(plan("imported", source), places(root, tmp_path))
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize("left", [0, 100, -1])
def test_damaged_weights_are_refused(root: Path, tmp_path: Path, left: int) -> None:
    """Whatever is left of the file, that is told with a sentence."""
    weights = model_folder(tmp_path / "source", "vit") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:left])
    with pytest.raises(RecipeError, match=r"transformers loads no image classifier with safetensors from .*: Error"):
        import_run(plan("imported", weights.parent), places(root, tmp_path))


def test_labels_are_those_of_the_data_set(root: Path, tmp_path: Path) -> None:
    """Names without meaning, and others, are refused; a person may give them, in the network's order."""
    nameless = model_folder(tmp_path / "a", "vit", {at: f"LABEL_{at}" for at in range(4)})
    with pytest.raises(RecipeError, match="does not name its classes: give their names with --labels"):
        import_run(plan("imported", nameless), places(root, tmp_path))
    foreign = model_folder(tmp_path / "b", "vit", dict(enumerate(("rouge", *LABELS[1:]))))
    with pytest.raises(RecipeError, match="the first that differs is 'rouge' and 'red'"):
        import_run(plan("imported", foreign), places(root, tmp_path))
    assert LABELS == load(import_run(plan("imported", foreign, labels=LABELS), places(root, tmp_path)).folder)[0].labels
    with pytest.raises(RecipeError, match="imported exists: choose another name"):
        import_run(plan("imported", foreign, labels=LABELS), places(root, tmp_path))


def test_a_size_that_the_network_does_not_take_is_refused(root: Path, tmp_path: Path) -> None:
    """A vision transformer knows the places of so many patches, and no others."""
    source = model_folder(tmp_path / "source", "vit")
    with pytest.raises(RecipeError, match="the network does not take 32 x 32"):
        import_run(plan("imported", source, wishes=Wishes(size=32)), places(root, tmp_path))
    assert not (tmp_path / "imported").exists()


def test_a_folder_that_is_no_classifier_is_refused(root: Path, tmp_path: Path) -> None:
    """With a sentence, not a stack of calls."""
    with pytest.raises(RecipeError, match="transformers loads no image classifier with safetensors from"):
        import_run(plan("imported", tmp_path), places(root, tmp_path))


def test_a_pickle_is_converted_apart(root: Path, tmp_path: Path) -> None:
    """A folder with `pytorch_model.bin` gives the same network, with a warning; nothing of ours keeps the pickle."""
    source = model_folder(tmp_path / "source", "vit")
    safe = load(import_run(plan("safe", source), places(root, tmp_path)).folder)[1].state_dict()
    torch.save(load_file(source / "model.safetensors"), source / "pytorch_model.bin")
    (source / "model.safetensors").unlink()
    done = import_run(plan("pickled", source), places(root, tmp_path))
    assert "pytorch_model.bin is a pickle" in done.notes[0]
    assert all(torch.equal(value, safe[name]) for name, value in load(done.folder)[1].state_dict().items())


class Program:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (self.command,)


def test_a_program_in_a_pickle_does_not_run(root: Path, tmp_path: Path) -> None:
    """It is refused, and leaves nothing behind."""
    torch.save({"weight": Program(f"touch {tmp_path}/ran")}, tmp_path / "evil.pt")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    with pytest.raises(RecipeError, match="no plain weights that could be read safely: it holds programs"):
        import_run(plan("imported", tmp_path / "evil.pt", network=tmp_path / "recipe.yaml"), places(root, tmp_path))
    assert not (tmp_path / "ran").exists()


def test_the_converter_can_do_nothing_else(tmp_path: Path) -> None:
    """After it has confined itself, a process has no network, starts nothing, and writes no large file."""
    program = f"""
import runpy, os, socket, subprocess
runpy.run_path({str(Path(sandbox.__file__))!r})["confine"](1000)
for what in (lambda: socket.socket(), lambda: socket.socketpair(), os.fork, lambda: os.execv("/bin/true", ["true"]),
             lambda: subprocess.run(["true"]), lambda: os.kill(1, 0)):
    try:
        what()
        print("could")
    except PermissionError:
        print("refused")
try:
    bytearray(2 ** 34)
    print("could")
except MemoryError:
    print("refused")
open({str(tmp_path / "large")!r}, "wb").write(bytes(2 ** 22))
print("could")
"""
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert ["refused"] * 7 == done.stdout.split(), done.stderr
    assert 0 != done.returncode


def test_plain_weights_of_a_recipes_network(root: Path, tmp_path: Path) -> None:
    """Filled into the network that the recipe says; weights of another one are refused."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    network = parse(Network, load_yaml(recipe)["network"], "network")
    from modelkit.train.networks import create
    from servicekit.manifest import Recipe

    torch.manual_seed(8)
    _, model = create(network, LABELS, Recipe(width=12, height=12, crop=1.0))
    for name, weights in (("bare", model.net.state_dict()), ("ours", model.state_dict())):
        save_file({key: value.contiguous() for key, value in weights.items()}, tmp_path / f"{name}.safetensors")
        source = tmp_path / f"{name}.safetensors"
        run = import_run(plan(name, source, network=recipe), places(root, tmp_path)).folder
        pixels = torch.randint(0, 256, (2, 12, 12, 3), dtype=torch.uint8)
        with torch.inference_mode():
            assert torch.equal(model.eval()(pixels), load(run)[1](pixels))
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(RecipeError, match="the weights do not fit the network"):
        import_run(plan("other", tmp_path / "other.safetensors", network=recipe), places(root, tmp_path))
    with pytest.raises(RecipeError, match="--network names a recipe"):
        import_run(plan("other", tmp_path / "other.safetensors"), places(root, tmp_path))


class Small(nn.Module):  # type: ignore[misc,unused-ignore]
    """Answers floats, NCHW, with the normalised mean of each channel and a constant."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Averages the picture away."""
        means = pixels.mean((2, 3))
        return torch.cat([means, torch.full_like(means[:, :1], 0.5)], 1)


def onnx_file(path: Path, *, free: bool = True) -> Path:
    """Exports the network, for any number of pictures or for one."""
    shapes = ({0: torch.export.Dim("n", min=1)},) if free else None
    example = torch.zeros(2 if free else 1, 3, 8, 8)
    program = torch.onnx.export(Small().eval(), (example,), dynamic_shapes=shapes, dynamo=True, verbose=False)
    program.save(path)
    return path


def test_an_onnx_file_is_published(root: Path, tmp_path: Path) -> None:
    """Floats, NCHW: the graph gets a normalisation, and the gates find what the original file finds."""
    wishes = Wishes(mean=(40.0,) * 3, std=(50.0,) * 3)
    run = import_run(plan("file", onnx_file(tmp_path / "small.onnx"), wishes=wishes), places(root, tmp_path)).folder
    accuracy = publish_run(tmp_path / "models", root / "datasets", Plan(run, "file")).manifest.versions["1"].accuracy
    assert (1.0, 1.0) == (accuracy["training_top1"], accuracy["test_top1"])


def test_an_onnx_file_that_takes_pixels(root: Path, tmp_path: Path) -> None:
    """It normalises itself, and a person's mean is refused."""
    (tmp_path / "colours.onnx").write_bytes(colour_model(Colours()))
    run = import_run(plan("file", tmp_path / "colours.onnx"), places(root, tmp_path)).folder
    assert 1.0 == json.loads((run / "result.json").read_text())["test"]["top1"]
    wishes = Wishes(mean=(1.0,) * 3, std=(1.0,) * 3)
    with pytest.raises(RecipeError, match="leave out --mean and --std"):
        import_run(plan("other", tmp_path / "colours.onnx", wishes=wishes), places(root, tmp_path))


def test_the_command_makes_a_run(root: Path, tmp_path: Path) -> None:
    """Options say what the file does not; what is missing is told in a line."""
    onnx_file(tmp_path / "small.onnx")
    words = ["import", str(tmp_path / "small.onnx"), "--datasets", str(root / "datasets"), "--runs", str(tmp_path)]
    done = CliRunner().invoke(app, [*words, "--name", "file", "--dataset", "colours", "--mean", "40,40,40"])
    assert (1, "error: nothing says how pictures are prepared for this model: give --std") == (
        done.exit_code,
        done.output.strip(),
    )
    colours = ["--mean", "40,40,40", "--std", "50,50,50"]
    done = CliRunner().invoke(app, [*words, "--name", "file", "--dataset", "colours", *colours])
    assert 0 == done.exit_code, done.output
    assert str(tmp_path / "file") in done.output
    assert 1 == CliRunner().invoke(app, [*words, *colours]).exit_code


def test_an_onnx_file_needs_a_word_about_its_pictures(root: Path, tmp_path: Path) -> None:
    """Nothing in a file says what its floats are."""
    with pytest.raises(RecipeError, match="nothing says how pictures are prepared for this model: give --mean, --std"):
        import_run(plan("file", onnx_file(tmp_path / "small.onnx")), places(root, tmp_path))


def test_without_timm_that_is_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every machine has it."""
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(RecipeError, match="timm cannot be imported here"):
        import_run(plan("other", "timm:resnet18"), places(root, tmp_path))
