"""The life of a model in commands: data, teacher, students, pruning, quantising, publishing."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lifecycle.shell import Done, Shell
from benchmarks.limit import CORES
from benchmarks.workload import ROOT
from modelkit.shelf import exclusive, scratch
from servicekit.manifest import read_manifest

RECIPES = ROOT / "modelkit" / "recipes"
LABELS = ROOT / "modelkit" / "data" / "fashion_mnist.txt"
RUNS = Path(".triptych/runs")
DATASET = "fashion_mnist"
TEACHER, WIDE, PRUNED, AWARE, FINAL = (
    f"fashion_mnist_{name}" for name in ("teacher", "wide", "prune", "int8", "small")
)
STUDENT = "fashion_mnist"
"""Name under which the final student is published."""
MODELS = Path("models")
LITE0, LITE0_FLOAT, LITE0_INT8 = "efficientnet_lite0", "1", "3"
"""The model of photographs and its versions; 2 is the committed one in INT8, 3 is made here."""
PHOTOGRAPHS = ROOT / "tests" / "photographs"


@dataclass(frozen=True, slots=True)
class Scale:
    """Says how much is done."""

    folder: Path
    """Where it is done: data sets, runs and the model repository."""
    pictures: dict[str, int] | None = None
    """To take of each split, None for all."""
    val: int = 2000
    """To hold back from training, for temperatures and for pruning's scan."""
    seeds: tuple[int, ...] = (1, 2, 3)
    changes: tuple[str, ...] = ()
    """Of every recipe."""
    teacher: tuple[str, ...] = ()
    """More of them, of the teacher's."""
    gates: tuple[str, ...] = ()
    """Options of `publish`."""
    quantising: tuple[str, ...] = ()
    """Options of `quantise` of a published model."""
    sure: tuple[str, ...] = ()
    """Photographs that judge that, none for all: on a CPU that rounds otherwise a doubtful one may change its class."""
    refusing: tuple[str, ...] = ()
    """More options of `publish`, for what shall be refused."""
    evaluated: int = 500
    """Pictures for robustness."""
    held: bool = True
    """Whether the figures are held against the goals."""


FULL = Scale(ROOT / ".triptych" / "lifecycle")
SMOKE = Scale(
    ROOT / ".triptych" / "lifecycle-smoke",
    pictures={"train": 1000, "t10k": 500},
    val=100,
    seeds=(1,),
    changes=("epochs=1", "batch=64"),
    teacher=("network.config.depths=[1, 1, 1]", "network.small_stem=2"),
    gates=(
        *("--min-top1", "0.15", "--min-agreement", "0.1", "--max-parity-gap", "0.05"),
        *("--max-parent-drop", "0.5", "--max-robustness-drop", "0.5"),
    ),
    quantising=("--max-slowdown", "1.5"),
    sure=("camera.png", "clock_motion.png", "coffee.png"),
    refusing=("--min-top1", "0.999"),
    evaluated=16,
    held=False,
)


@dataclass(frozen=True, slots=True)
class Chain:
    """Is the way from pictures to a published student. Each step goes on where it was cut off."""

    shell: Shell
    scale: Scale

    def repository(self) -> Path:
        """Returns a copy of the model repository as it is delivered, which appears whole."""
        models = self.scale.folder / MODELS
        with exclusive(self.scale.folder):
            if not models.exists():
                with scratch(self.scale.folder) as unfinished:
                    shutil.copytree(ROOT / "triton_models", unfinished / MODELS).rename(models)
        return models

    def data(self, source: Path) -> None:
        """Imports, drops from training what is also tested, and holds pictures back."""
        named = ("--name", DATASET, "--labels", LABELS, "--license", "MIT")
        self.shell("model", "data", "import", source, *named)
        self.shell("model", "data", "clean", DATASET, "--drop", "leaks,near-leaks", "--no-label-errors")
        self.shell("model", "data", "split", DATASET, "--val", str(self.scale.val))

    def teacher(self) -> None:
        """Trains the teacher and publishes it."""
        self.shell(*self._recipe("train", "teacher", *self.scale.teacher, f"threads={CORES}"))
        self.publish(TEACHER, TEACHER)

    def students(self, server: str) -> None:
        """Trains the student alone and taught by the served teacher, seed by seed, and the wide student."""
        alone = [
            self._recipe("train", "student", f"name=alone_{seed}", f"seed={seed}", "threads=1")
            for seed in self.scale.seeds
        ]
        taught = [
            self._recipe("distil", "distil_served", f"name=distil_{seed}", f"seed={seed}", "threads=1")
            for seed in self.scale.seeds
        ]
        wide = self._recipe("distil", "wide", "threads=1")
        self.shell.at_once([(*wide, *_at(server)), *((*each, *_at(server)) for each in taught), *alone], CORES)

    def compress(self, server: str) -> None:
        """Prunes the wide student, lets the rest learn to live with INT8, and quantises it."""
        self.shell(*self._recipe("prune", "prune", f"threads={CORES}"), *_at(server))
        self.shell("model", "quantise", RUNS / PRUNED, "--name", "fashion_mnist_ptq")
        start = f"network.pretrained={RUNS / PRUNED}"
        self.shell(*self._recipe("train", "int8", start, f"threads={CORES}"))
        self.shell("model", "quantise", RUNS / AWARE, "--name", FINAL)
        self._evaluate(FINAL)

    def publish_student(self) -> None:
        """Publishes the final student, which is held against the teacher's run.

        The teacher is evaluated only now: a published temperature would change what it teaches.
        """
        self._evaluate(TEACHER, "--alone")
        self.publish(FINAL, STUDENT, "--parent", RUNS / TEACHER)

    def publish(self, run: str, name: str, *options: str | Path) -> None:
        """Exports a run where that is to be done, and publishes it."""
        if run != FINAL:  # quantising has exported it
            self.shell("model", "export", RUNS / run)
        self.shell("model", "publish", RUNS / run, "--name", name, "--repository", MODELS, *self.scale.gates, *options)

    def quantise_published(self) -> None:
        """Makes an INT8 version of EfficientNet-Lite0, which has no run and no data set here, with photographs."""
        if LITE0_INT8 in read_manifest(self.scale.folder / MODELS / LITE0).versions:
            return
        pictures = ("--calibration", ROOT / "modelkit" / "calibration", "--photographs", self._judges())
        versions = ("--from", LITE0_FLOAT, "--version", LITE0_INT8)
        self.shell("model", "quantise", LITE0, *versions, "--repository", MODELS, *pictures, *self.scale.quantising)

    def _judges(self) -> Path:
        """Returns the folder of the photographs that judge."""
        if not self.scale.sure:
            return PHOTOGRAPHS
        folder = self.scale.folder / "photographs"
        folder.mkdir(exist_ok=True)
        for name in self.scale.sure:
            shutil.copy(PHOTOGRAPHS / name, folder)
        return folder

    def offer_worse(self) -> Done:
        """Offers a student that learned alone as the teacher's next version, which a gate refuses."""
        run = f"alone_{self.scale.seeds[0]}"
        self.shell("model", "export", RUNS / run)
        gates = (*self.scale.gates, *self.scale.refusing)
        words = ("model", "publish", RUNS / run, "--name", TEACHER, "--repository", MODELS)
        return self.shell(*words, *gates, refused_by="accuracy")

    def _evaluate(self, run: str, *options: str) -> None:
        self.shell("model", "evaluate", RUNS / run, "--pictures", str(self.scale.evaluated), *options)

    def _recipe(self, command: str, recipe: str, *changes: str) -> tuple[str | Path, ...]:
        changed = [word for change in (*self.scale.changes, *changes) for word in ("--set", change)]
        return ("model", command, RECIPES / f"fashion_mnist_{recipe}.yaml", "--resume", *changed)


def _at(server: str) -> tuple[str, str]:
    return "--server", server
