"""Options that say what an experiment shall be."""

from pathlib import Path
from typing import Annotated, Any

import typer

_SPLIT, _AUDIENCE, _RULES = "Which versions answer", "Whose requests take part", "What is asked of a candidate"


def _option(panel: str, metavar: str, text: str, **more: Any) -> Any:
    return typer.Option(metavar=metavar, help=text, rich_help_panel=panel, **more)


def _points(text: str, usual: str) -> Any:
    return _option(_RULES, "POINTS", text, min=0, max=100, show_default=usual)


def _flag(name: str, text: str) -> Any:
    return typer.Option(name, help=text, rich_help_panel=_RULES)


NewName = Annotated[str, typer.Argument(metavar="NAME", help="Its name: small letters, digits, - and _.")]
Model = Annotated[str, _option(_SPLIT, "NAME", "The model whose versions are compared.")]
Arms = Annotated[
    list[str] | None,
    _option(
        _SPLIT,
        "NAME=VERSION:WEIGHT",
        "A version that answers a part of the requests; the first one is the control. Beside a ramp: NAME=VERSION.",
    ),
]
Shadows = Annotated[
    list[str] | None,
    _option(_SPLIT, "NAME=VERSION:SHARE", "A version that sees a share of the requests; nobody gets its answers."),
]
Ramp = Annotated[
    str, _option(_SPLIT, "SHARE,...", "Steps by which the candidate's part grows while nothing speaks against it.")
]
Hold = Annotated[str, _option(_SPLIT, "TIME", "Least time of a step, such as 10m.", show_default="10m")]
MinKeys = Annotated[
    int | None, _option(_SPLIT, "N", "Least keys that the candidate answers in a step.", min=1, show_default="100")
]
Tenants = Annotated[
    list[str] | None, _option(_AUDIENCE, "TENANT", "Only requests of this tenant; several may be named.")
]
Headers = Annotated[
    list[str] | None, _option(_AUDIENCE, "NAME=VALUE", "Only requests with this header; all that are named.")
]
Layer = Annotated[
    str, _option(_AUDIENCE, "NAME", "Experiments of one model and layer share no keys; layers deal independently.")
]
Slot = Annotated[
    str, _option(_AUDIENCE, "BEGIN:END", "The part of the layer's keys that takes part.", show_default="0:1")
]
AccuracyMargin = Annotated[float | None, _points("Loss of accuracy that is allowed, in points.", "1")]
SlowMargin = Annotated[float | None, _points("How many more late answers are allowed, in points.", "2")]
FailedMargin = Annotated[float | None, _points("How many more failures are allowed, in points.", "0.2")]
SlowMs = Annotated[
    float | None, _option(_RULES, "MS", "An answer that takes longer is late.", min=0, show_default="100")
]
Alpha = Annotated[
    float | None,
    _option(_RULES, "P", "How probable any wrong verdict may be.", min=0, max=0.5, show_default="0.05"),
]
AutoPromote = Annotated[bool, _flag("--auto-promote", "Promote without asking anybody, once the verdict says so.")]
PromoteNoWorse = Annotated[
    bool, _flag("--promote-no-worse", "Promote also what is surely no worse, not only what is better.")
]
NoRollback = Annotated[bool, _flag("--no-rollback", "Leave a candidate in place that is surely bad.")]
StopAfter = Annotated[
    str,
    _option(_RULES, "TIME", "Stop it so long after its start, such as 14d, whatever is known.", show_default="never"),
]
Description = Annotated[str, typer.Option(metavar="TEXT", help="What it is about, for people.")]
File = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="An experiment as JSON, as `show --json` prints it; other options win over what it says."
    ),
]
StartAtOnce = Annotated[bool, typer.Option("--start", help="Start it at once; else it is a draft.")]
