"""Gives Helm values that are wrong, and reads how it refuses them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tools.chart.helm import HelmError
from tools.chart.manifests import Finding
from tools.chart.render import KUBE, Chart

TABLE = Path(__file__).parent / "negatives.yaml"
LONGEST = 1200
"""Letters of a message that somebody still reads."""
NOISE = ("nil pointer", "can't evaluate field", "wrong type for value")
"""What a template says when it stumbles, instead of the chart saying what is wrong."""


def cases() -> list[dict[str, Any]]:
    """Returns the table: a name, values, perhaps a Kubernetes, and the words that the refusal must hold."""
    return list(yaml.safe_load(TABLE.read_text()))


def refused(chart: Chart, folder: Path) -> Iterator[Finding]:
    """Wrong values are refused, with words that name the key."""
    for case in cases():
        file = folder / "values.yaml"
        file.write_text(yaml.safe_dump(case["values"]))
        try:
            chart.text([file], kube=case.get("kube", KUBE))
        except HelmError as error:
            yield from unreadable(case, str(error))
        else:
            yield Finding(case["name"], "is accepted")


def unreadable(case: dict[str, Any], message: str) -> Iterator[Finding]:
    """Yields what is wrong with a refusal."""
    known = message.replace("'", "").replace(".", "/") + message
    for word in case["says"]:
        if word not in known:
            yield Finding(case["name"], f"the refusal does not say {word!r}: {message[:300]}")
    if len(message) > LONGEST:
        yield Finding(case["name"], f"the refusal has {len(message)} letters")
    if any(noise in message for noise in NOISE):
        yield Finding(case["name"], f"a template stumbles: {message[:300]}")
