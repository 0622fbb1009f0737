"""Sections of the model card: what was counted and measured on pictures as they are."""

from modelkit.evaluate.findings import Content, models_of
from modelkit.evaluate.markdown import percent, size, table
from modelkit.evaluate.plots import CONFUSED, CONFUSION, RELIABILITY
from modelkit.release.candidate import EVALUATION_FILE

_WORST = 10
"""Classes that are shown of more than twice as many."""


def figures(content: Content) -> str:
    """Returns the models side by side."""
    headings = ("model", "made by", "top-1", "top-5", "corrupted", "calibration error", "ms", "size", "MACs")
    told = "On the test split; the calibration error is that with the temperature."
    text = f"## Figures\n\n{told}\n\n{table(headings, [_row(each) for each in models_of(content)])}"
    for name, why in content["left_out"].items():
        text += f"\n\nNot compared with {name}: {why}."
    return text


def _row(model: Content) -> tuple[str, ...]:
    accuracy, cost = model["accuracy"], model["cost"]
    return (
        model["name"],
        model["made"],
        percent(accuracy["top1"]),
        percent(accuracy["top5"]),
        percent(model["robustness"]["mean_top1"]),
        f"{model['calibration']['ece'][1]:.4f}",
        f"{cost['latency_ms']['1']:.3f}",
        f"{size(cost['file_bytes'])}B",
        size(cost["macs"]),
    )


def classes(content: Content) -> str:
    """Returns each class, or those that are told least well."""
    found = content["accuracy"]["classes"]
    title = "## Classes"
    if len(found) > 2 * _WORST:
        known = [each for each in found if each["accuracy"] is not None]
        found = sorted(known, key=lambda each: each["accuracy"])[:_WORST]
        title += f"\n\nThe {_WORST} with the lowest accuracy; `{EVALUATION_FILE}` has all."
    rows = [(c["label"], str(c["pictures"]), percent(c["accuracy"]), percent(c["precision"])) for c in found]
    return f"{title}\n\n{table(('class', 'pictures', 'answered right', 'answers right'), rows)}"


def confusions(content: Content) -> str:
    """Returns what is taken for what, with pictures."""
    pairs = content["accuracy"]["confused"]
    rows = [(each["true"], each["taken_for"], str(each["pictures"]), percent(each["share"])) for each in pairs]
    if not rows:
        return "## Confusions\n\nNone."
    named = table(("true", "taken for", "pictures", "of the class"), rows)
    return f"## Confusions\n\n![matrix]({CONFUSION})\n\n{named}\n\nThe surest mistakes:\n\n![pictures]({CONFUSED})"


def calibration(content: Content) -> str:
    """Returns whether the model is as sure as it is right."""
    found = content["calibration"]
    how = f"fitted on the split {found['fitted_on']}" if found["fitted_on"] else f"not fitted: {found['why_not']}"
    rows = [
        ("expected calibration error", *(f"{each:.4f}" for each in found["ece"])),
        ("mean negative log-likelihood, nats", *(f"{each:.4f}" for each in found["nll"])),
    ]
    figures = table(("on the test split", "before", "after"), rows)
    return (
        f"## Calibration\n\nTemperature {found['temperature']:g}, {how}.\n\n{figures}\n\n![reliability]({RELIABILITY})"
    )


def cost(content: Content) -> str:
    """Returns time, memory and size."""
    headings = ("model", "ms, batch 1", "ms a picture, batch 8", "resident", "of it the model", "size", "MACs", "INT8")
    rows = [_cost_row(each["name"], each["cost"]) for each in models_of(content)]
    engine = f"{content['cost']['engine']}, one thread, processor time, the median"
    return f"## Cost\n\n{engine}.\n\n{table(headings, rows)}"


def _cost_row(name: str, cost: Content) -> tuple[str, ...]:
    times = (f"{each:.3f}" for each in cost["latency_ms"].values())
    sizes = (f"{size(cost[key])}B" for key in ("resident_bytes", "model_bytes", "file_bytes"))
    return (name, *times, *sizes, size(cost["macs"]), f"{cost['int8_convolutions']} convolutions")
