"""Runs a cluster in this process: the composition root of the supervisor."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from localcluster.environment import given, triton_directory
from localcluster.guard import Guard, guarding
from localcluster.layout import (
    GRPC_PORT,
    HOST,
    HTTP_PORT,
    STAGES,
    Plan,
    ProcessSpec,
    lay_out,
    reachable,
    servable_models,
)
from localcluster.options import UpOptions
from localcluster.ports import PortLeases, port_leases
from localcluster.state import ClusterStatus, Identity, Phase, ProcessStatus, StateDirectory
from localcluster.supervisor import Pace, StartError, Supervisor
from localcluster.tls import LocalTls, edge_wanted
from localcluster.triton_command import ENGINE_THREADS, TritonEndpoints, triton_command
from localcluster.triton_runtime import ensure_runtime
from localcluster.tuned_file import VARIABLES

OTLP_ENDPOINT = "TRIPTYCH_OTLP_ENDPOINT"
Watch = Callable[[ClusterStatus], None]
"""Is told every change of the cluster, at once."""


class OptionError(ValueError):
    """Says which option cannot be met."""


def run_cluster(options: UpOptions, watch: Watch | None = None) -> None:
    """Runs a cluster until SIGINT, SIGTERM or SIGHUP, then drains it; a second SIGINT or SIGTERM kills what is left.

    Call it from the main thread: children die with the thread that started them.

    Raises:
        AlreadyRunningError: another cluster runs in the state directory.
        OptionError: an option cannot be met.
        PortTakenError: a port that was asked for is in use.
        StateError: the state directory cannot be used.
        InstallError: Triton cannot run here.
        StartError: a process did not become ready.
    """
    state = StateDirectory(options.state_dir)
    with state.locked(), port_leases() as leases, guarding() as guard:
        specs = _specs(options, leases)
        status = _describe(options, specs)

        def publish(status: ClusterStatus) -> None:
            state.write(status)
            if watch is not None:
                # Whoever watched may be gone (a closed terminal; Rich exits on a broken pipe); the cluster drains.
                with suppress(OSError, SystemExit):
                    watch(status)

        asyncio.run(_supervise(options, specs, status, guard, publish))


async def _supervise(
    options: UpOptions, specs: list[ProcessSpec], status: ClusterStatus, guard: Guard, publish: Watch
) -> None:
    def changed(phase: Phase, processes: tuple[ProcessStatus, ...]) -> None:
        publish(replace(status, phase=phase, processes=processes))

    state = StateDirectory(options.state_dir)
    supervisor = Supervisor(specs, state.logs, guard, changed, Pace(start_timeout_s=options.timeout_s))
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, partial(on_signal, number, stop, supervisor))
    try:
        await supervisor.run(stop)
    except StartError as error:
        publish(replace(status, phase=Phase.FAILED, processes=(error.process,), detail=str(error)))
        raise
    publish(replace(status, phase=Phase.STOPPED))


def on_signal(number: signal.Signals, stop: asyncio.Event, supervisor: Supervisor) -> None:
    """Lets the cluster drain, or ends it now for somebody impatient."""
    # A terminal that closes hangs up twice, once by its shell and once by the kernel: that is no impatience.
    if stop.is_set() and number is not signal.SIGHUP:
        supervisor.kill()
    stop.set()


def _specs(options: UpOptions, leases: PortLeases) -> list[ProcessSpec]:
    models = servable_models(options.model_repository)
    if not models:
        raise OptionError(f"{options.model_repository} holds no model: there is no <model>/config.pbtxt in it.")
    if options.model and options.model not in models:
        raise OptionError(
            f"There is no model {options.model!r} in {options.model_repository}; there is {', '.join(models)}."
        )
    if options.colocated and options.replicas:
        raise OptionError("Co-located services are one process with the gateway, so they have no replicas.")
    tuned = dict(options.tuned) | given(VARIABLES)
    plan = Plan(
        host=options.host,
        http_port=leases.prefer(options.host, options.http_port, HTTP_PORT),
        grpc_port=leases.prefer(options.host, options.grpc_port, GRPC_PORT),
        metrics_port=leases.take(options.host),
        model_repository=options.model_repository,
        take_port=lambda: leases.take(HOST),
        replicas=options.replicas,
        model=options.model or (models[0] if len(models) == 1 else ""),
        log_format=options.log_format,
        colocated=options.colocated,
        settings={name: value for name, value in tuned.items() if name != ENGINE_THREADS},
        secured=edge_wanted() or LocalTls.wanted() is not None,
        experiments_data=StateDirectory(options.state_dir).experiments if options.experiments else None,
    )
    return lay_out(plan, _triton(options, leases, tuned.get(ENGINE_THREADS, "")))


def _triton(options: UpOptions, leases: PortLeases, engine_threads: str) -> ProcessSpec:
    ports = {"grpc": leases.take(HOST), "metrics": leases.take(HOST)}
    endpoints = TritonEndpoints(grpc_port=ports["grpc"], metrics_port=ports["metrics"])
    runtime = ensure_runtime(triton_directory())
    collector = given([OTLP_ENDPOINT]).get(OTLP_ENDPOINT, "")  # the services read it themselves
    argv, env = triton_command(runtime, options.model_repository, endpoints, None, engine_threads, collector)
    tls = LocalTls.wanted()
    argv += tls.triton_flags() if tls else []
    # Triton answers for itself under the empty service name. What it is given is its whole environment.
    return ProcessSpec(
        "triton",
        1,
        tuple(argv),
        env,
        ports,
        health_service="",
        drain_rank=2,
        loads_first=True,
        tls=tls,
        inherits=False,
    )


def _describe(options: UpOptions, specs: list[ProcessSpec]) -> ClusterStatus:
    gateway = next(spec for spec in specs if spec.name == "gateway")
    ports = gateway.ports
    settings = {
        "host": options.host,
        "http_port": ports["http"],
        "grpc_port": ports["grpc"],
        "replicas": {stage: options.replicas.get(stage, 1) for stage in STAGES},
        "model_repository": str(options.model_repository),
        "model": gateway.env.get("TRIPTYCH_DEFAULT_MODEL", ""),
        "log_format": options.log_format,
        "colocated": options.colocated,
        "experiments": options.experiments,
        "tuned": dict(options.tuned),
    }
    return ClusterStatus(
        phase=Phase.STARTING,
        supervisor=Identity.of(os.getpid()),
        grpc=("https://" if edge_wanted() else "") + reachable(options.host, ports["grpc"]),
        http=reachable(options.host, ports["http"]),
        model_repository=str(options.model_repository),
        settings=settings,
    )
