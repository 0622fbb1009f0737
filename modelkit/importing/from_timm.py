"""Pretrained networks of timm, by name."""

from modelkit.importing.loaded import Loaded, Wanted, check_count, first_line
from modelkit.importing.preparation import changed, of_timm
from modelkit.train.networks import create
from modelkit.train.recipe import Network, RecipeError

TIMM = "timm:"


def load_timm(wanted: Wanted) -> Loaded:
    """Loads a network; timm does not name the classes, so that the data set or `--labels` does.

    Raises:
        RecipeError: timm cannot be imported, has no such network, or one of other classes.
    """
    try:
        import timm  # noqa: PLC0415 -- not on every machine
    except (ImportError, RuntimeError) as error:  # a torchvision that does not fit torch fails with the latter
        raise RecipeError(f"timm cannot be imported here: {first_line(error)}") from error
    name = wanted.source.removeprefix(TIMM)
    known = timm.get_pretrained_cfg(name)
    if known is None:
        raise RecipeError(f"timm has no pretrained network {name!r}")
    told = known.to_dict()
    preparation = changed(of_timm(told), wanted.wishes)
    labels = wanted.labels or wanted.data_labels
    check_count(int(told["num_classes"]), labels)
    network = Network(source="timm", pretrained=name, mean=preparation.mean, std=preparation.std)
    architecture, model = create(network, labels, preparation.input)
    return Loaded(architecture, model.eval(), preparation.notes)
