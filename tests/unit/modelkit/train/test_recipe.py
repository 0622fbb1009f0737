"""Recipes: what they refuse, and with which words."""

from pathlib import Path

import pytest

from modelkit.train.recipe import Recipe, RecipeError, load_recipe, load_yaml

RECIPES = Path(__file__).parents[4] / "modelkit" / "recipes"
SMOKE = RECIPES / "fashion_mnist_smoke.yaml"


TRAINING = [path for path in sorted(RECIPES.glob("*.yaml")) if "\nparent:" not in path.read_text()]
"""The others prune or quantise a run."""


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid_and_named_after_their_file(path: Path) -> None:
    """Every recipe that ships can be loaded, and makes a run of its own name."""
    assert path.stem == load_recipe(path).name


def test_changes_are_yaml_below_dotted_keys() -> None:
    """`--set` reaches every depth and keeps types."""
    recipe = load_recipe(SMOKE, ("optimiser.lr=0.5", "augment={flip: false, mixup: 0.2}", "ema=0.9"))
    assert (0.5, 0.2, 0.9) == (recipe.optimiser.lr, recipe.augment.mixup, recipe.ema)


def test_distil_differs_from_the_student_in_its_teacher_only() -> None:
    """What the teacher is worth is read off two runs that differ in nothing else."""
    alone, *taught = (
        load_yaml(RECIPES / f"fashion_mnist_{name}.yaml") for name in ("student", "distil", "distil_served")
    )
    for each in taught:
        assert {"name", "teacher"} == {key for key in {*alone, *each} if alone.get(key) != each.get(key)}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("optimiser.rate=1", "optimiser.rate is unknown; there are kind, lr, momentum, betas, weight_decay"),
        ("network.depth=1", "network.depth is unknown; there are source, config, pretrained"),
        ("optimiser.lr=-1", "optimiser.lr: Input should be greater than 0"),
        ("early_stop=3", "early_stop needs `monitor: val`"),
        ("precision=fp16", "precision fp16 needs `device: cuda`"),
        ("batch=63", "batch 63 must be a multiple of 2 x accumulate = 2"),
        ("network.source=run", "source `run` needs `pretrained`"),
        ("epochs", "'epochs' is not key=value"),
        ("seed.x=1", "seed holds a value"),
        ("name=[", "'name=[': the value is not YAML"),
        ("teacher.temperature=2", "teacher: a teacher is either `run`, the folder of a run, or `served`"),
        ("teacher={run: x, served: {model: x, version: '1'}}", "teacher: a teacher is either `run`"),
        ("teacher.served.model=x", "teacher.served.version: Field required"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_place(change: str, told: str) -> None:
    """The sentence names the key, and for an unknown one those that exist."""
    with pytest.raises(RecipeError) as error:
        load_recipe(SMOKE, (change,))
    assert told in str(error.value)


def test_a_served_teacher_is_not_asked_about_mixed_pictures() -> None:
    """It is asked once, before they are mixed; a run is asked about each batch."""
    served, mixed = "teacher={served: {model: wise, version: '1'}}", "augment.mixup=0.2"
    assert load_recipe(SMOKE, (served,)).teacher is not None
    assert load_recipe(SMOKE, ("teacher={run: wise}", mixed)).teacher is not None
    with pytest.raises(RecipeError, match="a served teacher knows no mixed pictures"):
        load_recipe(SMOKE, (served, mixed))


def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path) -> None:
    """A missing file and one that is no mapping are named."""
    (tmp_path / "list.yaml").write_text("[1, 2]")
    for name in ("none.yaml", "list.yaml"):
        with pytest.raises(RecipeError, match=name):
            load_recipe(tmp_path / name)


def test_recipe_is_complete_only_with_a_learning_rate() -> None:
    """Nothing guesses a learning rate."""
    assert Recipe.model_fields["optimiser"].is_required()


def test_a_recipe_that_is_no_text_is_named(tmp_path: Path) -> None:
    """Whoever gives a picture for the recipe reads which file it was."""
    picture = tmp_path / "picture.yaml"
    picture.write_bytes(b"\x89PNG\xff")
    with pytest.raises(RecipeError, match=r"picture\.yaml cannot be read"):
        load_recipe(picture)
