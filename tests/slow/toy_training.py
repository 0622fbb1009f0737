"""A tiny training that a test starts as a process of its own: `python toy_training.py FOLDER [KEY=VALUE ...]`."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from modelkit.train.pixels import Split
from modelkit.train.recipe import Recipe, load_recipe
from modelkit.train.train import Pictures, Places, train

RECIPE = """
name: toy
dataset: {name: toy}
input: {width: 12, height: 12, crop: 1.0}
network:
  source: transformers
  config: {model_type: resnet, embedding_size: 16, hidden_sizes: [16, 32], depths: [1, 1], layer_type: basic}
  small_stem: 1
epochs: 3
batch: 16
optimiser: {kind: sgd, lr: 0.05}
schedule: {kind: one_cycle, warm_up: 0.2}
augment: {flip: true, shift: 1, erase: 0.3, mixup: 0.2, cutmix: 0.2}
label_smoothing: 0.1
ema: 0.9
clip_norm: 5.0
checkpoint_steps: 3
log_steps: 1
seed: 3
threads: 1
"""


def toy_recipe(folder: Path, *changes: str) -> Recipe:
    """Returns the recipe, changed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "toy.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return load_recipe(path, changes)


def toy_pictures(*_: object) -> Pictures:
    """Returns noise with a bright row (class 0), column (1) or neither (2)."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 160, (96, 12, 12, 3)).astype(np.uint8)
    labels = np.arange(96) % 3
    pixels[labels == 0, 5:7] = 250
    pixels[labels == 1, :, 5:7] = 250
    splits = {"train": Split(pixels[:64], labels[:64]), "val": Split(pixels[64:], labels[64:])}
    return Pictures({"name": "toy", "version": "0"}, ("row", "column", "neither"), splits)


def toy_train(folder: Path, *changes: str) -> Path:
    """Trains, or goes on; each step is printed."""
    return train(
        toy_recipe(folder, *changes),
        Places(runs=folder),
        resume=True,
        watch=lambda done, _all, _words: print(done, flush=True),  # noqa: T201 -- the test reads it
        load=toy_pictures,
    )


def toy_killed(folder: Path, after: int, *changes: str) -> None:
    """Trains in a process of its own, which is killed after so many steps."""
    command = [sys.executable, __file__, str(folder), *changes]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < after:
            pass
        process.kill()
    assert -signal.SIGKILL == process.returncode


if __name__ == "__main__":
    toy_train(Path(sys.argv[1]), *sys.argv[2:])
