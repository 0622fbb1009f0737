"""`triptych up`, `down` and `status`: thin over `localcluster`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.options import Json, StateDir, state_path
from triptych.cli.output import err, fail, out, print_json

if TYPE_CHECKING:
    from localcluster.options import UpOptions
    from localcluster.state import ClusterStatus, StateDirectory

ANY_PORT = "0 takes any free one."
NOT_RUNNING = "No cluster is running. Start it with `triptych up`."


def up(  # noqa: PLR0917 (Typer's options)
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background; return when ready.")] = False,
    replicas: Annotated[
        list[str] | None, typer.Option(metavar="SERVICE=N", help="Replicas of preprocess, inference or postprocess.")
    ] = None,
    host: Annotated[str, typer.Option(envvar="TRIPTYCH_HOST", help="Address the gateway listens on.")] = "127.0.0.1",
    http_port: Annotated[
        int | None,
        typer.Option(
            envvar="TRIPTYCH_HTTP_PORT", min=0, max=65535, help=ANY_PORT, show_default="8080, else a free one"
        ),
    ] = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(envvar="TRIPTYCH_PORT", min=0, max=65535, help=ANY_PORT, show_default="8081, else a free one"),
    ] = None,
    model_repository: Annotated[
        Path | None, typer.Option(envvar="TRIPTYCH_MODEL_REPOSITORY", show_default="triton_models/ of the source")
    ] = None,
    model: Annotated[str, typer.Option(envvar="TRIPTYCH_DEFAULT_MODEL", help="Model of requests that name none.")] = "",
    logs: Annotated[bool, typer.Option("--logs", help="Show the logs of all processes on the screen too.")] = False,
    timeout: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="How long the start may take.")] = 120,
    state_dir: StateDir = None,
) -> None:
    """Starts Triton, the services and the gateway on this machine. Ctrl-C drains them all."""
    from localcluster.layout import parse_replicas
    from localcluster.options import MODEL_REPOSITORY, UpOptions

    try:
        options = UpOptions(
            state_dir=state_path(state_dir),
            host=host,
            http_port=http_port,
            grpc_port=grpc_port,
            replicas=parse_replicas(replicas or []),
            model_repository=(model_repository or MODEL_REPOSITORY).absolute(),
            model=model,
            timeout_s=timeout,
        )
    except ValueError as error:
        fail(str(error), code=2)
    _up(options, detach=detach, logs=logs)


def _up(options: "UpOptions", *, detach: bool, logs: bool) -> None:
    try:
        from localcluster import screen
        from localcluster.state import StateDirectory
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; a cluster needs more than the client: pip install 'triptych[cluster]'")
    running = StateDirectory(options.state_dir).running()
    console = err()
    try:
        if running is not None:
            console.print(f"A cluster is already running (supervisor {running.supervisor.pid}).")
            screen.join(options.state_dir, running, console, options.timeout_s)
        elif detach:
            screen.up_detached(options, console)
        else:
            screen.up_attached(options, console, logs=logs)
    except (RuntimeError, ValueError, OSError) as error:
        screen.show_log(error, console)
        fail(str(error))


def down(state_dir: StateDir = None) -> None:
    """Drains and stops the cluster that runs in the background or in another terminal."""
    from localcluster import screen

    try:
        stopped = screen.down(state_path(state_dir), err())
    except TimeoutError as error:
        fail(str(error))
    err().print("The cluster has stopped." if stopped else "No cluster is running.")


def status(json: Json = False, state_dir: StateDir = None) -> None:
    """Shows the cluster's processes. Ends with 0 when all are ready, else with 1."""
    from localcluster.state import StateDirectory

    state = StateDirectory(state_path(state_dir))
    found = state.running()
    if json:
        print_json({"phase": "stopped", "processes": []} if found is None else found.to_json())
    else:
        _show(found, state)
    raise typer.Exit(0 if found is not None and found.healthy else 1)


def _show(found: "ClusterStatus | None", state: "StateDirectory") -> None:
    import time

    from localcluster.table import cluster_view

    if found is not None:
        out().print(cluster_view(found, time.time()))
        return
    last = state.read()
    err().print(f"{NOT_RUNNING}{f' Last time: {last.detail}' if last is not None and last.detail else ''}")
