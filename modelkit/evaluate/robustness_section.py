"""The section of the model card about pictures that are not as they should be."""

from modelkit.evaluate.corruptions import CORRUPTIONS, SEVERITIES
from modelkit.evaluate.findings import Content, models_of
from modelkit.evaluate.markdown import percent, table
from modelkit.evaluate.plots import ROBUSTNESS


def robustness(content: Content) -> str:
    """Returns top-1 by corruption, severity and model, and what small differences do."""
    mine = content["robustness"]
    rows = [
        (name.replace("_", " "), CORRUPTIONS[name].family, *(percent(each) for each in values))
        for name, values in mine["corruptions"].items()
    ]
    severities = table(("corruption", "family", *(f"severity {each}" for each in SEVERITIES)), rows)
    return (
        f"## Robustness\n\nTop-1, {mine['protocol']}. Without corruption {percent(mine['clean_top1'])}, mean over all "
        f"corruptions and severities {percent(mine['mean_top1'])}.\n\n{severities}\n\n{_side_by_side(content)}\n\n"
        f"![robustness]({ROBUSTNESS})\n\n{_variations(content)}"
    )


def _side_by_side(content: Content) -> str:
    models = models_of(content)
    rows = [
        (name.replace("_", " "), *(percent(sum(values) / len(values)) for values in columns))
        for name in content["robustness"]["corruptions"]
        for columns in [[each["robustness"]["corruptions"][name] for each in models]]
    ]
    rows.append(("mean", *(percent(each["robustness"]["mean_top1"]) for each in models)))
    return "Mean over the severities:\n\n" + table(("corruption", *(each["name"] for each in models)), rows)


def _variations(content: Content) -> str:
    models = models_of(content)
    rows = [
        (f"{name}, {level}", *(_varied(each["robustness"]["variations"][name][level]) for each in models))
        for name, levels in content["robustness"]["variations"].items()
        for level in levels
    ]
    told = "Top-1, and in brackets the share of pictures that keep their first class:"
    return f"{told}\n\n{table(('variation', *(each['name'] for each in models)), rows)}"


def _varied(outcome: Content) -> str:
    return f"{percent(outcome['top1'])} ({percent(outcome['same'])})"
