"""What a pruning recipe can say."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from modelkit.train.recipe import Augment, Data, Network, Optimiser, Recipe, Schedule, Teacher
from servicekit.manifest import Recipe as Input

Share = Annotated[float, Field(gt=0, lt=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scan(_Part):
    """Says how it is found out what each layer can do without."""

    pictures: int = Field(default=2000, ge=1)
    """Of the split `val`, or of `train` where there is none; never of `test`, which judges."""
    ratios: tuple[Share, ...] = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75)
    """Shares of a layer's channels to try; the largest one is also the most that any layer loses."""


class PruneRecipe(_Part):
    """Is a whole pruning: what goes, in how many steps, and how the rest learns again."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")
    """Of the run and its folder."""
    parent: Path
    """Folder of the run to prune."""
    dataset: Data
    importance: Literal["l1", "gradient"] = "l1"
    """Which channels go first: those with the smallest weights, or those whose loss would change the loss least."""
    remove: Share = 0.5
    """Share of the parent's multiply-accumulates that goes, at least."""
    steps: int = Field(default=2, ge=1)
    """Each takes away the same share of what is left, and learns before the next one."""
    round_to: int = Field(default=8, ge=8)
    """Layers keep a multiple of this many channels: engines compute in such blocks. With fewer than 6, oneDNN 3.12
    writes beyond its buffers on a CPU with AVX2 only, in the backward pass of a 1x1 convolution with stride 2."""
    scan: Scan = Scan()
    teacher: Teacher | None = None
    epochs_between: int = Field(default=1, ge=1)
    """After each step but the last."""
    epochs: int = Field(ge=1)
    """After the last step."""
    batch: int = Field(ge=2)
    """Pictures in one step of training."""
    optimiser: Optimiser
    schedule: Schedule = Schedule()
    augment: Augment = Augment()
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """Of the arithmetic while it learns, as in training."""
    checkpoint_steps: int | None = Field(default=None, ge=1)
    log_steps: int = Field(default=20, ge=1)
    seed: int = Field(default=0, ge=0)
    threads: int | None = Field(default=None, ge=1)
    device: Literal["cpu", "cuda"] = "cpu"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.teacher is not None:
            self.teacher.check(self.augment)
        return self

    def kept(self, step: int) -> float:
        """Returns the share of the parent's multiply-accumulates that is left after a step, counted from 1."""
        return float((1 - self.remove) ** (step / self.steps))

    def tuning(self, step: int, start: Path, pictures: Input) -> Recipe:
        """Returns the training that follows a step.

        Args:
            step: from 1.
            start: folder of the network as the step left it.
            pictures: what the network takes.
        """
        shared = set(Recipe.model_fields) & set(PruneRecipe.model_fields) - {"name", "epochs"}
        return Recipe(
            name=str(step),
            input=pictures,
            network=Network(source="run", pretrained=str(start)),
            epochs=self.epochs if step == self.steps else self.epochs_between,
            **{key: getattr(self, key) for key in shared},
        )
