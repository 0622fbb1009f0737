"""Trains what a recipe says, from the data set to the finished run folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load

from modelkit.data.records import DataError
from modelkit.train.distributed import process_group, read_for_all, told_by_first, wait
from modelkit.train.files import write_json
from modelkit.train.imitation import compute_freely, imitate_int8
from modelkit.train.loop import BEST_FILE, Course, Watch, evaluate_result, make_learner, result_of, run_course
from modelkit.train.measure import size_of
from modelkit.train.memory import keep_freed_memory
from modelkit.train.networks import WEIGHTS_FILE, Architecture, Classifier, create, save
from modelkit.train.networks import load as load_network
from modelkit.train.objective import Objective, distillation, labels_only
from modelkit.train.pixels import Split, load_split
from modelkit.train.recipe import LATEST, Data, Recipe, RecipeError, load_recipe, load_yaml
from modelkit.train.run import (
    RECIPE_FILE,
    RESULT_FILE,
    Parent,
    alone,
    beginning,
    check_origin,
    finished,
    start,
    write_environment,
    write_lineage,
)
from modelkit.train.sampling import Shard, step_seed
from modelkit.train.served_teacher import Answers, Questions, ask, read_answers
from modelkit.train.step import fastest_precision
from servicekit.manifest import Recipe as Input


@dataclass(frozen=True, slots=True)
class Places:
    """Says where things are kept."""

    datasets: Path = Path(".triptych/datasets")
    runs: Path = Path(".triptych/runs")
    cache: Path = Path(".triptych/pixels")
    """Decoded pictures, and what served teachers said of them: may be deleted at any time."""
    gateway: str = "localhost:8081"
    """Of the cluster that serves teachers."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Is a data set version, decoded for a recipe."""

    dataset: dict[str, str]
    """Its name and version."""
    labels: tuple[str, ...]
    splits: dict[str, Split] = field(repr=False)
    """By name: train, and val and test where there are any."""


Load = Callable[[Recipe, Places], Pictures]


def train(
    recipe: Recipe,
    places: Places,
    *,
    resume: bool = False,
    watch: Watch | None = None,
    load: Load | None = None,
) -> Path:
    """Trains, and returns the run's folder. Under torchrun each process calls it, and the first one writes.

    Args:
        recipe: what to train.
        places: where things are kept.
        resume: goes on with a run that exists.
        watch: is told of each step.
        load: brings the pictures; by default from the recipe's data set.

    Raises:
        RecipeError: the recipe does not fit the data or the machine, or the run exists.
        DataError: there is no such data set.
    """
    folder = places.runs / recipe.name
    with process_group(recipe.device) as shard, torch_settings(recipe):
        recipe = settled(recipe, folder, shard)
        recipe = recipe.model_copy(update={"dataset": pinned(recipe.dataset, folder, places, shard)})
        with _begun(folder, recipe, shard, resume=resume):
            if read_for_all(folder / RESULT_FILE, shard) is not None:
                return folder
            with beginning(folder):
                pictures = (load or load_pictures)(recipe, places)
                wait(shard)
                architecture, course = prepare(recipe, pictures, folder, shard)
                course.watch = watch or course.watch
                course.answers = served_answers(course, pictures, places)
            _finish(course, pictures, architecture)
    return folder


@contextmanager
def _begun(folder: Path, recipe: Recipe, shard: Shard, *, resume: bool) -> Iterator[None]:
    """Has the first process make the run's folder, or take it up again, and keep it."""
    if shard.rank > 0:
        yield
        return
    start(folder, recipe, resume=resume)
    with alone(folder):
        if finished(folder):
            check_origin(folder, _parents(recipe), WEIGHTS_FILE)
        else:
            write_environment(folder, recipe, shard.world)
        yield


def settled(recipe: Recipe, folder: Path, shard: Shard) -> Recipe:
    """Returns a recipe with a precision in place of `auto`: the run's where it has begun, else the first machine's."""
    if recipe.precision != "auto":
        return recipe
    begun = folder / RECIPE_FILE
    precision = load_recipe(begun).precision if begun.exists() else fastest_precision(recipe.device)
    return recipe.model_copy(update={"precision": told_by_first(precision, shard)})


def pinned(wanted: Data, folder: Path, places: Places, shard: Shard) -> Data:
    """Returns a data set with a version in place of `latest`: the run's where it has begun, else the one made last."""
    if wanted.version != LATEST:
        return wanted
    begun = folder / RECIPE_FILE
    recipe = load_yaml(begun) if begun.exists() else {}  # of a quantised run, which names no data set, and is refused
    version = recipe["dataset"]["version"] if "dataset" in recipe else _made_last(wanted.name, places)
    return wanted.model_copy(update={"version": told_by_first(version, shard)})


def _made_last(name: str, places: Places) -> str:
    """Returns a data set's newest version; of one that is not here `latest`, and reading it says so."""
    from modelkit.data.store import open_dataset  # noqa: PLC0415 -- needs pyarrow

    try:
        return open_dataset(places.datasets, name).manifest.version
    except DataError:
        return LATEST


@contextmanager
def torch_settings(recipe: Recipe) -> Iterator[None]:
    """Sets torch's number of threads, and makes cuDNN repeat itself, for as long as a run lasts; memory is kept."""
    threads, repeatable = torch.get_num_threads(), torch.backends.cudnn.deterministic
    torch.set_num_threads(recipe.threads or threads)
    torch.backends.cudnn.deterministic = True
    keep_freed_memory()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.deterministic = repeatable


def load_pictures(recipe: Recipe, places: Places) -> Pictures:
    """Opens the data set and decodes it, once.

    Raises:
        DataError: there is no such data set.
        RecipeError: it lacks a split that the recipe needs.
    """
    pictures = read_pictures(recipe.dataset, recipe.input, places)
    for needed in ("train", recipe.monitor):
        if needed and not len(pictures.splits.get(needed, ())):
            raise RecipeError(
                "data set {name} {version} has no pictures with a label".format_map(pictures.dataset) + f" in {needed}"
            )
    return pictures


def read_pictures(wanted: Data, takes: Input, places: Places) -> Pictures:
    """Opens a data set version and decodes all splits that it has, once.

    Raises:
        DataError: there is no such data set.
    """
    from modelkit.data.store import open_dataset  # noqa: PLC0415 -- needs pyarrow

    dataset = open_dataset(places.datasets, wanted.name, wanted.version)
    name, version = dataset.manifest.name, dataset.manifest.version
    present = [split for split in ("train", "val", "test") if dataset.count(split)]
    cache = places.cache / f"{name}-{version}"
    splits = {each: load_split(dataset, each, takes, cache).first(wanted.limit) for each in present}
    return Pictures({"name": name, "version": version}, dataset.labels, splits)


def prepare(recipe: Recipe, pictures: Pictures, folder: Path, shard: Shard) -> tuple[Architecture, Course]:
    """Puts a training together, ready for its first step.

    Raises:
        RecipeError: the network or the teacher cannot be made, or knows other classes.
    """
    device = torch.device(recipe.device)
    torch.manual_seed(step_seed(recipe.seed, 0, 0))
    architecture, model = create(recipe.network, pictures.labels, recipe.input)
    if recipe.precision == "int8":
        imitate_int8(model)
    learner = make_learner(recipe, model.to(device), _objective(recipe, pictures, device))
    return architecture, Course(
        recipe=recipe,
        folder=folder,
        learner=learner,
        train=pictures.splits["train"],
        classes=len(pictures.labels),
        monitored=pictures.splits[recipe.monitor] if recipe.monitor else None,
        shard=shard,
    )


def _objective(recipe: Recipe, pictures: Pictures, device: torch.device) -> Objective:
    if recipe.teacher is None:
        return labels_only
    options = recipe.teacher
    teacher = None if options.run is None else _teacher(options.run, recipe, pictures).to(device)
    return distillation(teacher, temperature=options.temperature, alpha=options.alpha)


def _teacher(run: Path, recipe: Recipe, pictures: Pictures) -> Classifier:
    architecture, teacher = load_network(run)
    if architecture.labels != pictures.labels or architecture.input != recipe.input:
        raise RecipeError(f"the teacher {run} has other classes or takes other pictures than the student")
    return teacher


def served_answers(course: Course, pictures: Pictures, places: Places) -> Answers | None:
    """Returns what a served teacher says of the training pictures, None where the recipe has none.

    One process of a machine asks, the others wait for it and find what it wrote.

    Raises:
        RecipeError: it cannot be asked.
    """
    teacher = course.recipe.teacher
    if teacher is None or teacher.served is None:
        return None
    from modelkit.data.store import open_dataset  # noqa: PLC0415 -- needs pyarrow

    dataset = open_dataset(places.datasets, **pictures.dataset)
    cache = places.cache / "{name}-{version}".format_map(pictures.dataset)
    questions = Questions(dataset, len(course.train), cache, mirrored=course.recipe.augment.flip)
    ask(teacher.served, questions, places.gateway, course.watch)
    return read_answers(teacher.served, questions)


def _finish(course: Course, pictures: Pictures, architecture: Architecture) -> None:
    progress = run_course(course)
    model = result_of(course.learner)
    if course.recipe.early_stop is not None:
        best = read_for_all(course.folder / BEST_FILE, course.shard)
        assert best is not None  # noqa: S101 -- the first epoch is the best so far, and kept
        model.load_state_dict(load(best))
    judged = [split for split in ("val", "test") if split in pictures.splits]
    figures: dict[str, object] = {split: asdict(evaluate_result(course, pictures.splits[split])) for split in judged}
    if course.shard.rank == 0:
        assert isinstance(model, Classifier)  # noqa: S101 -- what `create` made
        compute_freely(model)
        _write_result(course, pictures, architecture, model)
        size: dict[str, int] = asdict(size_of(model, course.recipe.input))
        result: dict[str, object] = {**figures, **size, "steps": progress.step, "seconds": round(progress.seconds, 1)}
        write_json(course.folder / RESULT_FILE, result)
    wait(course.shard)


def _write_result(course: Course, pictures: Pictures, architecture: Architecture, model: Classifier) -> None:
    recipe, folder = course.recipe, course.folder
    save(folder, architecture, model)
    step = "distil" if recipe.teacher else "train"
    write_lineage(folder, step, pictures.dataset, _parents(recipe), folder / WEIGHTS_FILE)


def _parents(recipe: Recipe) -> dict[str, Parent]:
    parents: dict[str, Parent] = {}
    if recipe.teacher:
        parents["teacher"] = recipe.teacher.source
    if recipe.network.source == "run" and recipe.network.pretrained:
        parents["weights"] = Path(recipe.network.pretrained)
    return parents
