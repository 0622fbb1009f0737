"""Options that say what a cluster shall be."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def _port(variable: str, usual: int) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        envvar=variable,
        min=0,
        max=65535,
        metavar="PORT",
        help="0 takes any free one.",
        show_default=f"{usual}, else a free one",
    )
    return option


Detach = Annotated[bool, typer.Option("--detach", "-d", help="Run in the background; return when ready.")]
Replicas = Annotated[
    list[str] | None, typer.Option(metavar="SERVICE=N", help="Replicas of preprocess, inference or postprocess.")
]
Colocated = Annotated[
    bool, typer.Option("--colocated", envvar="TRIPTYCH_COLOCATED", help="Run gateway and services as one process.")
]
Experiments = Annotated[
    bool,
    typer.Option("--experiments/--no-experiments", help="Keep experiments and feedback, or do without."),
]
Host = Annotated[str, typer.Option(envvar="TRIPTYCH_HOST", metavar="ADDRESS", help="Address the gateway listens on.")]
HttpPort = Annotated[int | None, _port("TRIPTYCH_HTTP_PORT", 8080)]
GrpcPort = Annotated[int | None, _port("TRIPTYCH_PORT", 8081)]
ModelRepository = Annotated[
    Path | None,
    typer.Option(
        envvar="TRIPTYCH_MODEL_REPOSITORY",
        metavar="FOLDER",
        help="The models to serve.",
        show_default="triton_models/ of the source",
    ),
]
Model = Annotated[
    str, typer.Option(envvar="TRIPTYCH_DEFAULT_MODEL", metavar="NAME", help="Model of requests that name none.")
]
LogFormat = Annotated[
    Literal["json", "console"],
    typer.Option(envvar="TRIPTYCH_LOG_FORMAT", metavar="json|console", help="How the log files are written."),
]
NoTuned = Annotated[
    bool, typer.Option("--no-tuned", help="Leave out the settings that `triptych tune` found best here.")
]
Logs = Annotated[bool, typer.Option("--logs", help="Show the logs of all processes on the screen too.")]
StartTimeout = Annotated[float, typer.Option(min=1, metavar="SECONDS", help="How long the start may take.")]
