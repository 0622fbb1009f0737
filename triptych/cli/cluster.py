"""`triptych up`, `down` and `status`: thin over `localcluster`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.options import Json, StateDir, state_path
from triptych.cli.output import err, fail, out, print_json
from triptych.cli.tuned import tuned_settings
from triptych.cli.up_options import (
    Colocated,
    Detach,
    Experiments,
    GrpcPort,
    Host,
    HttpPort,
    LogFormat,
    Logs,
    Model,
    ModelRepository,
    NoTuned,
    Replicas,
    StartTimeout,
)

if TYPE_CHECKING:
    from localcluster.options import UpOptions
    from localcluster.state import ClusterStatus, StateDirectory

COMPARED = (
    "host",
    "http_port",
    "grpc_port",
    "replicas",
    "model_repository",
    "model",
    "log_format",
    "colocated",
    "experiments",
)
"""Options that a running cluster may contradict."""


def up(  # noqa: PLR0917 (Typer's options)
    context: typer.Context,
    detach: Detach = False,
    replicas: Replicas = None,
    colocated: Colocated = False,
    experiments: Experiments = True,
    host: Host = "127.0.0.1",
    http_port: HttpPort = None,
    grpc_port: GrpcPort = None,
    model_repository: ModelRepository = None,
    model: Model = "",
    log_format: LogFormat = "json",
    no_tuned: NoTuned = False,
    logs: Logs = False,
    timeout: StartTimeout = 120,
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
            experiments=experiments,
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
