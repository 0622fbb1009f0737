"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_SERVER = "localhost:8081"

StateDir = Annotated[
    Path | None,
    typer.Option(
        envvar="TRIPTYCH_STATE_DIR",
        show_default="~/.local/state/triptych/default",
        help="Where the cluster keeps its state and logs; one cluster per folder.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Server = Annotated[
    str | None,
    typer.Option(
        envvar="TRIPTYCH_SERVER",
        show_default="the running cluster, or localhost:8081",
        metavar="HOST:PORT",
        help="gRPC address of the gateway.",
    ),
]
Timeout = Annotated[float, typer.Option(min=0.001, metavar="SECONDS", help="How long a call may take.")]


def state_path(given: Path | None) -> Path:
    """Returns the state directory to use."""
    from localcluster.environment import state_directory

    return (given or state_directory()).absolute()


def server_address(given: str | None, state_dir: Path | None) -> str:
    """Returns the gateway to ask: the one that was named, else the running cluster's, else the default."""
    from localcluster.state import StateDirectory

    if given:
        return given
    status = StateDirectory(state_path(state_dir)).running()
    return DEFAULT_SERVER if status is None else status.grpc
