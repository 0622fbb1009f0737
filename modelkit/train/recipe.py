"""What a recipe can say. A recipe is a YAML file; with its dataset version and its seed it determines a run."""

from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from servicekit.manifest import Recipe as Input

T = TypeVar("T", bound=BaseModel)
LATEST = "latest"


class RecipeError(ValueError):
    """Says what is wrong with a recipe, and where."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Part):
    """Says which pictures."""

    name: str
    """Of the dataset."""
    version: str = LATEST
    """Of the dataset: its content hash. `latest` is the one made last when a run begins; the run's own recipe says
    which."""
    limit: int | None = Field(default=None, ge=2)
    """Pictures to take of each split, the first ones; None takes all."""


class Network(_Part):
    """Says what is trained. Its first layer takes RGB whatever the pictures are; normalisation is in the graph."""

    source: Literal["transformers", "timm", "efficientnet_lite", "run"]
    """Who builds it: a library, or an earlier run, whose network and weights are taken over."""
    config: dict[str, Any] = Field(default_factory=dict)
    """From scratch. transformers: the configuration, with `model_type`; timm, efficientnet_lite: `name` and options."""
    pretrained: str | None = None
    """Starts from these weights: a folder or name that the library knows, `imagenet` for efficientnet_lite, the folder
    of the run."""
    small_stem: Literal[1, 2] | None = None
    """Stride of a 3 x 3 convolution in place of ResNet's stem, which shrinks pictures fourfold: for small pictures."""
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    """Of the channels, subtracted from the pixels (0 to 255)."""
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)
    """Of the channels, what the difference is divided by."""

    @model_validator(mode="after")
    def _says_what_to_build(self) -> Self:
        if self.source == "run" and self.pretrained is None:
            raise ValueError("source `run` needs `pretrained`: the folder of the run")
        if self.source != "run" and not self.config and self.pretrained is None:
            raise ValueError("a network needs `config` (from scratch) or `pretrained`")
        return self


class Optimiser(_Part):
    """Says how weights follow gradients. Norms and biases never decay."""

    kind: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(gt=0)
    """Learning rate at its peak."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Of SGD, which is Nesterov's."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""
    weight_decay: float = Field(default=5e-4, ge=0)


class Schedule(_Part):
    """Says how the learning rate moves over the run, as a factor of its peak."""

    kind: Literal["constant", "cosine", "one_cycle", "step"] = "cosine"
    warm_up: float = Field(default=0.0, ge=0, lt=1)
    """Share of all steps in which the rate rises from nearly nothing: in a straight line, for one_cycle in a cosine."""
    milestones: tuple[float, ...] = (0.5, 0.75)
    """Of `step`: shares of all steps after which the rate falls."""
    factor: float = Field(default=0.1, gt=0, lt=1)
    """Of `step`: what the rate is multiplied with."""


class Augment(_Part):
    """Says how pictures are changed before the network sees them."""

    flip: bool = False
    """Mirrors half of the pictures."""
    shift: int = Field(default=0, ge=0)
    """Most pixels that a picture is moved by, in both directions; black comes in."""
    erase: float = Field(default=0.0, ge=0, le=1)
    """Share of the pictures in which a rectangle turns grey."""
    mixup: float = Field(default=0.0, ge=0)
    """Alpha of the Beta distribution by which two pictures are blended; 0: never."""
    cutmix: float = Field(default=0.0, ge=0)
    """Alpha of the Beta distribution by which a patch of one picture is put into another; 0: never. With both, each
    batch gets one of them."""


class Served(_Part):
    """Names a version that a running cluster serves."""

    model: str
    version: str


class Teacher(_Part):
    """Says whom to learn from, beside the labels: knowledge distillation."""

    run: Path | None = None
    """Folder of the teacher's run: it is asked about every picture as the student sees it."""
    served: Served | None = None
    """A model that is asked through the gateway, once about every picture and its mirror image."""
    temperature: float = Field(default=4.0, gt=0)
    """Softens the answers of both."""
    alpha: float = Field(default=0.7, ge=0, le=1)
    """Weight of the teacher's word; the labels have the rest."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.run is None) == (self.served is None):
            raise ValueError("a teacher is either `run`, the folder of a run, or `served`, a model and its version")
        return self

    @property
    def source(self) -> Path | Served:
        """Returns the one that is given."""
        source = self.run or self.served
        assert source is not None  # noqa: S101 -- validated above
        return source

    def check(self, augment: Augment) -> None:
        """Refuses pictures that the teacher was never asked about.

        Raises:
            ValueError: a served teacher, and pictures that are mixed with each other.
        """
        if self.served is not None and (augment.mixup or augment.cutmix):
            raise ValueError("a served teacher knows no mixed pictures: leave out mixup and cutmix, or use `run`")


class Recipe(_Part):
    """Is a whole training."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")
    """Of the run and its folder."""
    dataset: Data
    input: Input
    """How encoded bytes become pixels; serving does the same."""
    network: Network
    teacher: Teacher | None = None
    epochs: int = Field(ge=1)
    batch: int = Field(ge=2)
    """Pictures in one step, of all processes together."""
    accumulate: int = Field(default=1, ge=1)
    """Parts that each process splits its pictures into, so that they fit into memory; gradients add up."""
    optimiser: Optimiser
    schedule: Schedule = Schedule()
    augment: Augment = Augment()
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay of the moving average of the weights, which then is the result; None: no average."""
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "fp32"
    """Of the arithmetic; weights stay fp32. auto is bf16 where the machine computes in it, else fp32 (on a GPU fp16);
    the run's own recipe says which. fp16 needs a GPU. int8 imitates what quantising will do: for a trained network, a
    short run at a low rate before `triptych model quantise`."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Largest norm of a step's gradient."""
    freeze_epochs: int = Field(default=0, ge=0)
    """Epochs at the start in which only the last layer learns: for pretrained networks with a new one."""
    monitor: Literal["val", "test"] | None = None
    """Split that is measured after each epoch."""
    early_stop: int | None = Field(default=None, ge=1)
    """Epochs without a better top-1 on `val` after which the run ends; the best weights are the result."""
    checkpoint_steps: int | None = Field(default=None, ge=1)
    """Steps between checkpoints, beside the one after each epoch."""
    log_steps: int = Field(default=20, ge=1)
    """Steps between lines of metrics."""
    seed: int = Field(default=0, ge=0)
    """All randomness comes from it."""
    threads: int | None = Field(default=None, ge=1)
    """Of torch; None leaves it to torch. The same result to the last bit needs the same number."""
    device: Literal["cpu", "cuda"] = "cpu"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.early_stop is not None and self.monitor != "val":
            raise ValueError("early_stop needs `monitor: val`: what chooses a model must not be what judges it")
        if self.teacher is not None:
            self.teacher.check(self.augment)
        if self.precision == "fp16" and self.device == "cpu":
            raise ValueError("precision fp16 needs `device: cuda`; on a CPU there is bf16")
        if self.batch % (2 * self.accumulate):
            raise ValueError(f"batch {self.batch} must be a multiple of 2 x accumulate = {2 * self.accumulate}")
        return self


def load_recipe(path: Path, changes: tuple[str, ...] = ()) -> Recipe:
    """Reads a recipe.

    Args:
        path: the YAML file.
        changes: `key=value`, where the key may be dotted (`optimiser.lr=0.1`) and the value is YAML.

    Raises:
        RecipeError: the file is missing or not YAML, or something in it is unknown, missing or out of bounds.
    """
    return parse(Recipe, load_yaml(path, changes), str(path))


def load_yaml(path: Path, changes: tuple[str, ...] = ()) -> dict[str, Any]:
    """Reads a YAML mapping and applies `key=value` changes.

    Raises:
        RecipeError: the file is missing or no mapping, or a change has no `=` or a value that is not YAML.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} is not a mapping of keys to values")
    return changed(content, changes)


def changed(content: dict[str, Any], changes: tuple[str, ...]) -> dict[str, Any]:
    """Applies `key=value` changes to a mapping, which is returned.

    Raises:
        RecipeError: a change has no `=`, goes below a value, or its own is not YAML.
    """
    for change in changes:
        _apply(content, change)
    return content


def _apply(content: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals:
        raise RecipeError(f"{change!r} is not key=value, such as optimiser.lr=0.1")
    *parents, last = key.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise RecipeError(f"{change!r}: {parent} holds a value and has no keys below it")
    try:
        content[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"{change!r}: the value is not YAML; quote what has brackets, braces or colons") from error


def parse(kind: type[T], content: dict[str, Any], where: str) -> T:
    """Checks a mapping against a model.

    Raises:
        RecipeError: with one sentence for each thing that is wrong.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_sentence(kind, problem) for problem in error.errors())
        raise RecipeError(f"{where}: {problems}") from error


def _sentence(kind: type[BaseModel], problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(kind, problem["loc"][:-1]))
        return f"{place} is unknown; there are {known}"
    return f"{place or 'the whole'}: {problem['msg'].removeprefix('Value error, ')}"


def _known_keys(kind: type[BaseModel], parents: tuple[str | int, ...]) -> list[str]:
    for parent in parents:
        annotation = kind.model_fields[str(parent)].annotation
        candidates = (annotation, *getattr(annotation, "__args__", ()))
        kind = next(each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel))
    return list(kind.model_fields)


def dump_recipe(recipe: BaseModel) -> str:
    """Returns a resolved recipe as YAML, with every default spelled out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
