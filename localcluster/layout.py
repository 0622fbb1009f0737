"""What a cluster consists of: pure decisions about processes, their settings and their order."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localcluster.tls import LocalTls

HOST = "127.0.0.1"
"""Everything behind the gateway stays on this machine."""
HTTP_PORT = 8080
GRPC_PORT = 8081
STAGES = ("preprocess", "inference", "postprocess")
HEALTH_SERVICES = {stage: f"triptych.{stage}.v1.{stage.capitalize()}Service" for stage in STAGES}
GATEWAY_SERVICE = "triptych.classification.v1.ClassificationService"
EXPERIMENTS = "experiments"
EXPERIMENTS_SERVICE = "triptych.experiments.v1.ExperimentService"


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """Says how to run one process."""

    name: str
    replica: int
    argv: tuple[str, ...]
    env: Mapping[str, str]
    ports: Mapping[str, int]
    """By use; `grpc` answers grpc.health.v1."""
    health_service: str
    host: str = HOST
    drain_rank: int = 0
    """Lower ranks drain first; equal ranks at the same time."""
    loads_first: bool = False
    """Whether it answers only after it has loaded everything, so that a lasting `not ready` at the start is final."""
    over_http: bool = False
    """Whether `/readyz` on its metrics port is asked, in plain text, and not the health service, which wants TLS."""
    tls: LocalTls | None = None
    """What the health service wants to see, where it is asked and wants TLS."""
    inherits: bool = True
    """Whether it gets the supervisor's environment below its own."""
    optional: bool = False
    """Whether the cluster answers requests without it."""

    @property
    def title(self) -> str:
        """Names this replica, such as `preprocess-2`."""
        return f"{self.name}-{self.replica}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Says what a cluster shall be, with every address settled."""

    host: str
    http_port: int
    grpc_port: int
    metrics_port: int
    model_repository: Path
    take_port: Callable[[], int]
    """Gives a free port on loopback at each call."""
    replicas: Mapping[str, int] = field(default_factory=dict)
    model: str = ""
    log_format: str = "json"
    colocated: bool = False
    """Whether the gateway has the services inside."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Variables of every process but Triton."""
    secured: bool = False
    """Whether some of the processes speak TLS."""
    experiments_data: Path | None = None
    """Where the experiments service keeps its data; None leaves it out."""
    python: str = sys.executable


def lay_out(plan: Plan, triton: ProcessSpec) -> list[ProcessSpec]:
    """Returns every process of the cluster, the ones that others need first."""
    experiments, known = [], {}
    if plan.experiments_data is not None:
        experiments = [_experiments(plan, plan.experiments_data)]
        known["TRIPTYCH_EXPERIMENTS_TARGET"] = f"ipv4:{HOST}:{experiments[0].ports['grpc']}"
    if plan.colocated:
        return [triton, *experiments, _colocated(plan, triton, known)]
    extra = {"inference": {"TRIPTYCH_TRITON_TARGETS": f"{HOST}:{triton.ports['grpc']}"}}
    services = {stage: _replicas(plan, stage, extra.get(stage, {})) for stage in STAGES}
    targets = {stage: link_target([spec.ports["link"] for spec in specs]) for stage, specs in services.items()}
    stages = [spec for specs in services.values() for spec in specs]
    return [triton, *stages, *experiments, _gateway(plan, targets, known)]


def _replicas(plan: Plan, stage: str, extra: Mapping[str, str]) -> list[ProcessSpec]:
    return [_service(plan, stage, replica, extra) for replica in range(1, plan.replicas.get(stage, 1) + 1)]


def _service(plan: Plan, stage: str, replica: int, extra: Mapping[str, str]) -> ProcessSpec:
    ports = {use: plan.take_port() for use in ("grpc", "link", "metrics")}
    env = _common(plan, HOST, ports["grpc"]) | {
        "TRIPTYCH_LINK_PORT": str(ports["link"]),
        "TRIPTYCH_METRICS_PORT": str(ports["metrics"]),
        "TRIPTYCH_MODEL_REPOSITORY": str(plan.model_repository),
    }
    argv = (*python_module(plan.python), f"services.{stage}")
    return ProcessSpec(
        stage,
        replica,
        argv,
        env | dict(extra),
        ports,
        HEALTH_SERVICES[stage],
        drain_rank=1,
        over_http=plan.secured,
    )


def _experiments(plan: Plan, data: Path) -> ProcessSpec:
    """Returns the process that keeps experiments. It outlives the gateway, which brings it the last of its evidence."""
    ports = {use: plan.take_port() for use in ("grpc", "metrics")}
    env = _common(plan, HOST, ports["grpc"]) | {
        "TRIPTYCH_METRICS_PORT": str(ports["metrics"]),
        "TRIPTYCH_DATA_DIR": str(data),
    }
    argv = (*python_module(plan.python), f"services.{EXPERIMENTS}")
    return ProcessSpec(
        EXPERIMENTS,
        1,
        argv,
        env,
        ports,
        EXPERIMENTS_SERVICE,
        drain_rank=1,
        over_http=plan.secured,
        optional=True,
    )


def _gateway(plan: Plan, targets: Mapping[str, str], known: Mapping[str, str]) -> ProcessSpec:
    named = {f"TRIPTYCH_{stage.upper()}_TARGET": target for stage, target in targets.items()}
    return _edge(plan, "gateway", {**named, **known})


def _colocated(plan: Plan, triton: ProcessSpec, known: Mapping[str, str]) -> ProcessSpec:
    extra = {
        **known,
        "TRIPTYCH_TRITON_TARGETS": f"{HOST}:{triton.ports['grpc']}",
        "TRIPTYCH_MODEL_REPOSITORY": str(plan.model_repository),
    }
    return _edge(plan, "colocated", extra)


def _edge(plan: Plan, module: str, extra: Mapping[str, str]) -> ProcessSpec:
    """Returns the process that users talk to."""
    ports = {"http": plan.http_port, "grpc": plan.grpc_port, "metrics": plan.metrics_port}
    env = _common(plan, plan.host, plan.grpc_port) | {
        "TRIPTYCH_HTTP_PORT": str(plan.http_port),
        "TRIPTYCH_METRICS_PORT": str(plan.metrics_port),
        **extra,
    }
    if plan.model:
        env["TRIPTYCH_DEFAULT_MODEL"] = plan.model
    argv = (*python_module(plan.python), module)
    return ProcessSpec(
        "gateway", 1, argv, env, ports, GATEWAY_SERVICE, host=plan.host, drain_rank=0, over_http=plan.secured
    )


def _common(plan: Plan, host: str, port: int) -> dict[str, str]:
    return {
        **plan.settings,
        "TRIPTYCH_HOST": host,
        "TRIPTYCH_PORT": str(port),
        "TRIPTYCH_LOG_FORMAT": plan.log_format,
    }


def reachable(host: str, port: int) -> str:
    """Returns the address for clients on this machine of a server that listens on `host`."""
    host = {"0.0.0.0": HOST, "::": "::1"}.get(host, host)  # noqa: S104 (compared, not listened on)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def python_module(python: str) -> tuple[str, ...]:
    """Returns how to run a module; a folder of the same name where the user happens to be is not taken for it."""
    return (python, "-P", "-m")


def link_target(ports: Sequence[int]) -> str:
    """Returns the name of a set of replicas on this machine, for links."""
    return "link:" + ",".join(f"{HOST}:{port}" for port in ports)


def parse_replicas(words: Sequence[str]) -> dict[str, int]:
    """Reads `preprocess=2` and the like.

    Raises:
        ValueError: a word has another shape, or names what cannot be scaled.
    """
    replicas: dict[str, int] = {}
    for word in words:
        stage, _, count = word.partition("=")
        if stage not in STAGES or not count.isdecimal() or not 1 <= int(count) <= 64:
            raise ValueError(f"{word!r} is not like `preprocess=2`, with one of {', '.join(STAGES)} and 1 to 64.")
        replicas[stage] = int(count)
    return replicas


def servable_models(repository: Path) -> list[str]:
    """Returns the names of the models in a Triton repository."""
    return sorted(config.parent.name for config in repository.glob("*/config.pbtxt"))
