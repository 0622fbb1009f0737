"""`triptych up`, `down` and `status`: thin over `localcluster`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from triptych.cli.options import Json, StateDir, state_path
from triptych.cli.output import err, fail, out, print_json
from triptych.cli.tuned import tuned_settings

if TYPE_CHECKING:
    from localcluster.options import UpOptions
    from localcluster.state import ClusterStatus, StateDirectory

ANY_PORT = "0 takes any free one."
COMPARED = ("host", "http_port", "grpc_port", "replicas", "model_repository", "model", "log_format", "colocated")
"""Options that a running cluster may contradict."""


def up(  # noqa: PLR0917 (Typer's options)
    context: typer.Context,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background; return when ready.")] = False,
    replicas: Annotated[
        list[str] | None, typer.Option(metavar="SERVICE=N", help="Replicas of preprocess, inference or postprocess.")
    ] = None,
    colocated: Annotated[
        bool,
        typer.Option("--colocated", envvar="TRIPTYCH_COLOCATED", help="Run gateway and services as one process."),
    ] = False,
    host: Annotated[
        str, typer.Option(envvar="TRIPTYCH_HOST", metavar="ADDRESS", help="Address the gateway listens on.")
    ] = "127.0.0.1",
    http_port: Annotated[
        int | None,
        typer.Option(
            envvar="TRIPTYCH_HTTP_PORT",
            min=0,
            max=65535,
            metavar="PORT",
            help=ANY_PORT,
            show_default="8080, else a free one",
        ),
    ] = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(
            envvar="TRIPTYCH_PORT",
            min=0,
            max=65535,
            metavar="PORT",
            help=ANY_PORT,
            show_default="8081, else a free one",
        ),
    ] = None,
    model_repository: Annotated[
        Path | None,
        typer.Option(
            envvar="TRIPTYCH_MODEL_REPOSITORY",
            metavar="FOLDER",
            help="The models to serve.",
            show_default="triton_models/ of the source",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(envvar="TRIPTYCH_DEFAULT_MODEL", metavar="NAME", help="Model of requests that name none.")
    ] = "",
    log_format: Annotated[
        Literal["json", "console"],
        typer.Option(envvar="TRIPTYCH_LOG_FORMAT", metavar="json|console", help="How the log files are written."),
    ] = "json",
    no_tuned: Annotated[
        bool, typer.Option("--no-tuned", help="Leave out the settings that `triptych tune` found best here.")
    ] = False,
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
            log_format=log_format,
            colocated=colocated,
        )
    except ValueError as error:
        fail(str(error), code=2)
    _up(options, _given(context), detach=detach, logs=logs, tuned=not no_tuned)


def _given(context: typer.Context) -> list[str]:
    """Returns the names of the options that the user gave, by word or by environment."""
    sources = {name: context.get_parameter_source(name) for name in COMPARED}
    return [name for name, source in sources.items() if source is not None and source.name != "DEFAULT"]


def _up(options: "UpOptions", given: list[str], *, detach: bool, logs: bool, tuned: bool) -> None:
    try:
        from localcluster import screen
        from localcluster.state import StateDirectory
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; a cluster needs more than the client: pip install 'triptych[cluster]'")
    console = err()
    try:
        running = StateDirectory(options.state_dir).running()
        if running is not None:
            _join(options, running, given)
            return
        if tuned:
            options = replace(options, tuned=tuned_settings(options))
        if detach:
            screen.up_detached(options, console)
        else:
            screen.up_attached(options, console, logs=logs)
    except (RuntimeError, ValueError, OSError) as error:
        screen.show_log(error, console)
        fail(str(error))


def _join(options: "UpOptions", running: "ClusterStatus", given: list[str]) -> None:
    from localcluster import screen
    from localcluster.environment import state_flag
    from localcluster.state import AlreadyRunningError

    if differences := "; ".join(options.differences(running.settings, given)):
        stop = f"triptych down{state_flag(options.state_dir)}"
        raise AlreadyRunningError(f"A cluster is already running with other settings ({differences}): `{stop}` first.")
    err().print(f"A cluster is already running (supervisor {running.supervisor.pid}).")
    screen.join(options.state_dir, running, err(), options.timeout_s)


def down(state_dir: StateDir = None) -> None:
    """Drains and stops the cluster that runs in the background or in another terminal."""
    from localcluster import screen

    try:
        stopped = screen.down(state_path(state_dir), err())
    except (RuntimeError, TimeoutError) as error:
        fail(str(error))
    err().print("The cluster has stopped." if stopped else "No cluster is running.")


def status(json: Json = False, state_dir: StateDir = None) -> None:
    """Shows the cluster's processes. Ends with 0 when all are ready, else with 1."""
    from localcluster.state import StateDirectory, StateError

    state = StateDirectory(state_path(state_dir))
    try:
        found = state.running()
    except StateError as error:
        fail(str(error))
    if json:
        print_json({"phase": "stopped", "processes": []} if found is None else found.to_json())
    else:
        _show(found, state)
    raise typer.Exit(0 if found is not None and found.healthy else 1)


def _show(found: "ClusterStatus | None", state: "StateDirectory") -> None:
    from localcluster.environment import state_flag
    from localcluster.table import print_cluster

    if found is not None:
        print_cluster(out(), found, [f"logs in {state.logs}"])
        return
    last = state.read()
    message = f"No cluster is running. Start it with `triptych up{state_flag(state.path)}`."
    if last is not None and last.detail:
        message += f" Last time: {last.detail} Logs are in {state.logs}."
    err().print(message, markup=False, soft_wrap=True)


def logs(
    processes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PROCESS]...", help="Such as gateway-1, preprocess for all its replicas, supervisor."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, metavar="N", help="At most so many lines of each process.")
    ] = 20,
    state_dir: StateDir = None,
) -> None:
    """Shows the logs of the cluster that runs, or ran last."""
    from localcluster import screen
    from localcluster.logview import LogView, UnknownProcessError
    from localcluster.state import StateDirectory

    view = LogView(StateDirectory(state_path(state_dir)).logs, processes or ())
    try:
        view.check()
    except UnknownProcessError as error:
        fail(str(error), code=2)
    screen.print_lines(view, out(), lines)
    if follow:
        screen.follow_logs(view, out())
