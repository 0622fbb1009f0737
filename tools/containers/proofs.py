"""What is shown of the running project, a function for each."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tools.containers.command import CommandError
from tools.containers.experiment_proofs import EXPERIMENT_PROOFS
from tools.containers.images import LIMITS_MB, ROOT, image_name, size_line, size_mb
from tools.containers.project import STOP_TIMEOUT_S, Project, ProofError, until
from tools.containers.scene import LABEL, PHOTOGRAPH, best_label, expect_label
from triptych import Client

STAGES = ("preprocess", "inference", "postprocess")
SERVICES = ("triton", *STAGES, "experiments", "gateway")
SINGLE = frozenset({"experiments"})
"""Those of which there is one: its volume is one process' own, and requests do without it."""
KEPT = {"experiments": ["/data"]}
"""Folders beside /tmp that a service may write to."""
USER = 10001
METRICS_PORTS = {"triton": 8002}
METRICS_PORT = 9464
WORK = {
    "gateway": ("triptych_requests_total", ""),
    "preprocess": ("grpc_server_started_total", '"PreprocessImages"'),
    "inference": ("grpc_server_started_total", '"PredictLogits"'),
    "postprocess": ("grpc_server_started_total", '"RankLabels"'),
    "triton": ("nv_inference_exec_count", ""),
    "experiments": ("grpc_server_started_total", '"GetRouting"'),
}
"""Metric that grows when a replica gets work, and text in its labels."""

CALLERS = {
    "preprocess": ("gateway", 8082),
    "inference": ("gateway", 8082),
    "postprocess": ("gateway", 8082),
    "triton": ("inference", 8001),
    "experiments": ("gateway", 8081),
}
"""Who calls a service, and at which port."""

MIN_READY_S = 3
"""Pause before the next replica is restarted, as `minReadySeconds` of a Deployment."""

INSIDE = """
import json, os, pathlib
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
def writable(path):
    try:
        pathlib.Path(path, "probe").write_text("")
    except OSError:
        return False
    return True
print(json.dumps({
    "user": os.getuid(), "group": os.getgid(),
    "capabilities": [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")],
    "no_new_privileges": int(status["NoNewPrivs"]), "seccomp": int(status["Seccomp"]),
    "writable": [path for path in ("/", "/app", "/opt", "/etc", "/models", "/tmp", "/data") if writable(path)],
    "tools": [each for each in ("pip", "gcc", "cc", "make", "curl") if any(
        os.access(f"{folder}/{each}", os.X_OK) for folder in os.environ["PATH"].split(":"))],
}))
"""


def sizes(project: Project) -> str:
    """No image is larger than it may be."""
    found = {target: size_mb(project.engine, target) for target in LIMITS_MB}
    table = "\n".join(f"    {size_line(target, size)}" for target, size in found.items())
    if too_large := [target for target, size in found.items() if size > LIMITS_MB[target]]:
        raise ProofError(f"too large: {', '.join(too_large)}\n{table}")
    return table


def health(project: Project) -> None:
    """Every service becomes healthy."""
    project.wait_until_healthy(*SERVICES)


def http(project: Project) -> None:
    """The photograph is classified over the published HTTP port."""
    expect_label(best_label(project))


def grpc(project: Project) -> None:
    """The photograph is classified over the published gRPC port, by the client that users have."""
    with Client(project.address(8081)) as client:
        expect_label(client.classify(PHOTOGRAPH, top_k=1).best.label)


def hardening(project: Project) -> None:
    """Each process is nobody: no root, no capability, nowhere to write but /tmp and what it keeps, no tools."""
    expected = {
        "user": USER,
        "group": USER,
        "capabilities": [0, 0, 0],
        "no_new_privileges": 1,
        "seccomp": 2,  # a filter
        "tools": [],
    }
    for service in SERVICES:
        found = json.loads(project.python(project.containers(service)[0], INSIDE))
        wanted = expected | {"writable": ["/tmp", *KEPT.get(service, ())]}  # noqa: S108 (the one place)
        if found != wanted:
            raise ProofError(f"{service}: {found}, not {wanted}")


def isolation(project: Project) -> None:
    """The service that takes pictures apart reaches no other service, by name or by address, and nothing outside."""
    (preprocess,) = project.containers("preprocess")
    if reached := project.reaches(preprocess, "inference", "postprocess", "triton", "experiments"):
        raise ProofError(f"preprocess reaches {reached}")


def crash(project: Project) -> str:
    """A service that is killed comes back, and requests are answered again."""
    (container,) = project.containers("preprocess")
    project.kill(container)
    try:
        until(partial(project.engine.healthy, container), f"{container} is back", 15)
        how = "its restart policy"
    except ProofError:
        project.up()
        how = "another `up`"
    project.wait_until_healthy("preprocess", "gateway")
    until(lambda: _answers(project), "requests are answered again", 30)
    return f"    brought back by {how}"


def scaling(project: Project) -> None:
    """A second replica of a service gets its share of the work, and the first keeps its own."""
    project.scale("preprocess", 2)
    project.wait_until_healthy("preprocess")
    with load(project):
        for container in project.containers("preprocess"):
            wait_for_work(project, "preprocess", container)


def rolling_restart(project: Project) -> str:
    """Each of two replicas of each service, Triton and gateway too, is restarted under load: no request is lost.

    The load comes over gRPC from callers who know the gateways' common name and send each request once. Of experiments
    there is one replica, which goes and comes again.
    """
    for service in SERVICES:
        project.scale(service, 1 if service in SINGLE else 2)
    project.wait_until_healthy(*SERVICES)
    with load(project) as outcomes:
        for service in reversed(SERVICES):
            for container in project.containers(service):
                wait_for_work(project, service, container)
                project.restart(container)
                wait_for_work(project, service, container)
                wait_for_callers(project, service, container)
                time.sleep(MIN_READY_S)
    if set(outcomes) != {"answered"}:
        raise ProofError(f"of the requests under way: {outcomes}")
    restarted = 2 * len(SERVICES) - len(SINGLE)
    return f"    {outcomes['answered']} requests, all answered, while {restarted} containers were restarted"


PROOFS: tuple[Callable[[Project], str | None], ...] = (
    *(health, sizes, http, grpc, hardening, isolation),
    *(crash, *EXPERIMENT_PROOFS, scaling, rolling_restart),
)


@contextmanager
def load(project: Project) -> Iterator[dict[str, int]]:
    """Puts load on the gateways while the context is open; then the yielded dict says what came of the requests."""
    outcomes: dict[str, int] = {}
    name = f"{project.name}-load"
    mounts = [f"{ROOT / path}:/load/{path.rpartition('/')[2]}:ro" for path in ("tools/containers/load.py", "examples")]
    volumes = [word for mount in mounts for word in ("--volume", mount)]
    options = ["--detach", "--name", name, "--network", f"{project.name}_edge", "--entrypoint", "python", *volumes]
    program = ("/load/load.py", "dns:///gateway:8081", f"/load/examples/{PHOTOGRAPH.name}", LABEL)
    project.engine("run", *options, image_name("gateway"), *program)
    try:
        yield outcomes
        project.engine("stop", "--time", str(2 * STOP_TIMEOUT_S), name)
        outcomes.update(json.loads(project.engine("logs", name)))
    finally:
        project.engine("rm", "--force", name)


def wait_for_work(project: Project, service: str, container: str) -> None:
    """Waits until a replica gets work."""
    metric, having = WORK[service]

    def done() -> float:
        return project.metric(container, METRICS_PORTS.get(service, METRICS_PORT), metric, having)

    before = done()
    until(lambda: done() > before, f"{container} gets work", 30)


def wait_for_callers(project: Project, service: str, container: str) -> None:
    """Waits until every caller has found a replica: that one sends it work says nothing of the others."""
    if service not in CALLERS:
        return
    caller, port = CALLERS[service]
    callers = project.containers(caller)

    def connected() -> bool:
        return len(project.connected(container, port)) >= len(callers)

    def usable() -> bool:
        (network,) = project.engine.inspect(container)["NetworkSettings"]["Networks"].values()
        server = f'server="{network["IPAddress"]}:{port}"'
        return all(project.metric(each, METRICS_PORT, "triptych_triton_ready", server) for each in callers)

    # A link says that its replica is ready; whoever connects to Triton tries its models first.
    until(usable if service == "triton" else connected, f"every {caller} knows {container}", 30)


def _answers(project: Project) -> bool:
    try:
        return best_label(project) == LABEL
    except (OSError, CommandError):
        return False
