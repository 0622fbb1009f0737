"""docker-compose.yml and the Dockerfile against the settings, the local cluster and each other."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from contract.compose import (
    ROOT,
    SERVICES,
    STAGES,
    compose,
    dockerfile_stages,
    dotenv,
    image_variables,
    seconds,
    services,
)

from localcluster.triton_command import EXIT_TIMEOUT_S
from localcluster.triton_container import ENDPOINTS, command
from localcluster.triton_runtime import TritonRuntime
from servicekit.link.target import Target
from servicekit.settings import ProcessSettings, variable
from tools.containers.images import LIMITS_MB, image_name, version
from tools.containers.install import requirements
from tools.document_settings import SERVICES as SETTINGS

pytestmark = pytest.mark.contract

OURS = (*SERVICES, "triton")
HARDENED = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
CPU_ONLY = (
    "--backend-directory=",
    "--backend-config=python,",
    "--allow-gpu-metrics=",
    "--pinned-memory-pool-byte-size=",
)
"""Flags that tell of our runtime on a CPU, which NVIDIA's image on a GPU does without."""
ONCE = {"engines"}
"""Services that do something and end."""


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_is_a_setting(service: str) -> None:
    """Each variable that compose or the image gives a service is one that its settings read."""
    known = {variable(field) for field in SETTINGS[service].model_fields}
    given = {*services()[service]["environment"], *image_variables(service)}
    assert set() == {name for name in given if name.startswith("TRIPTYCH_")} - known


@pytest.mark.parametrize("service", SERVICES)
def test_images_bring_their_ports(service: str) -> None:
    """Every image listens to all, and its ports are the same everywhere."""
    found = image_variables(service)
    expected = {"TRIPTYCH_HOST": "0.0.0.0", "TRIPTYCH_PORT": "8081", "TRIPTYCH_METRICS_PORT": "9464"}  # noqa: S104
    expected |= {"TRIPTYCH_HTTP_PORT": "8080"} if service == "gateway" else {}
    expected |= {"TRIPTYCH_LINK_PORT": "8082"} if service in STAGES else {}
    assert expected.items() <= found.items()


def test_the_gateway_asks_the_services_at_their_ports_for_links() -> None:
    """Each target is a service of this file, with the port for links of its image."""
    environment = services()["gateway"]["environment"]
    for service in STAGES:
        target = Target.parse(environment[f"TRIPTYCH_{service.upper()}_TARGET"])
        assert ((service, int(image_variables(service)["TRIPTYCH_LINK_PORT"])),) == target.addresses
        assert target.is_name


@pytest.mark.parametrize("service", STAGES)
def test_trusted_keys_are_where_the_services_look(service: str) -> None:
    """The file that the variable names on the host is mounted at the same path, for reading."""
    found = services()[service]
    mount = found["volumes"][-1]
    assert "TRIPTYCH_TRUSTED_KEYS" in found["environment"]
    assert (2, True) == (mount.count("${TRIPTYCH_TRUSTED_KEYS:-"), mount.endswith(":ro"))


def test_inference_finds_every_triton() -> None:
    """It asks for the name that both Tritons have, at the port where they listen."""
    target = services()["inference"]["environment"]["TRIPTYCH_TRITON_TARGETS"]
    assert f"dns:///triton:{ENDPOINTS.grpc_port}" == target
    assert "triton" in services()["triton-gpu"]["networks"]["engine"]["aliases"]


def test_the_gpu_triton_is_started_as_the_other_one() -> None:
    """Its flags are those of the local cluster, but for what only our runtime on a CPU needs."""
    runtime = TritonRuntime(Path("/opt/triton"), Path("/opt/triton/backends"))
    flags = {flag for flag in command(runtime, [])[0][1:] if not flag.startswith(CPU_ONLY)}
    assert flags == set(services()["triton-gpu"]["command"][1:])


def test_plans_are_built_where_they_run() -> None:
    """They are built by the chart's scripts, in the image and on the GPU that serve them, and links to them hold."""
    builder, server = services()["engines"], services()["triton-gpu"]
    mounted, served = (
        {target: source for source, target, _ in map(_volume, each["volumes"])} for each in (builder, server)
    )
    words = builder["command"]
    assert ["python3", "/scripts/prepare-engines.py", "/store", "/engines", "/repository"] == words
    assert (ROOT / mounted["/scripts"] / "prepare-engines.py").is_file()
    assert {path: served[path] for path in ("/store", "/engines")}.items() <= mounted.items()
    assert (mounted["/repository"], builder["image"], builder["deploy"]) == (
        served["/models"],
        server["image"],
        server["deploy"],
    )
    assert builder["image"] == builder["environment"]["IMAGE"]
    assert {"engines": {"condition": "service_completed_successfully"}} == server["depends_on"]


def test_the_model_server_writes_nothing_that_it_loads() -> None:
    """Store, plans and repository are read-only to the Triton on a GPU; only what builds writes, without a network."""
    assert {"ro"} == {mode for _, _, mode in map(_volume, services()["triton-gpu"]["volumes"])}
    assert "none" == services()["engines"]["network_mode"]


def _volume(text: str) -> tuple[str, str, str]:
    """Returns source, target and mode; the source may hold a variable with a default."""
    match = re.fullmatch(r"(.+?):(/[^:]+)(?::(ro))?", text)
    assert match is not None, text
    return match[1], match[2], match[3] or "rw"


@pytest.mark.parametrize("service", sorted(services()))
def test_nobody_has_privileges(service: str) -> None:
    """Every service, not only ours, has a read-only root, no capability, limits, and ports on loopback at most."""
    found = services()[service]
    assert HARDENED.items() <= found.items()
    assert {"cpus", "memory"} <= found["deploy"]["resources"]["limits"].keys()
    assert found["pids_limit"] > 0
    assert [] == [port for port in found.get("ports", []) if not port.startswith("127.0.0.1:")]
    assert "none" == found.get("network_mode", "none")
    assert not {"privileged", "container_name", "pid", "ipc", "devices", "cap_add"} & found.keys()


@pytest.mark.parametrize("service", sorted(services()))
def test_everybody_is_asked_how_it_is(service: str) -> None:
    """Every service has a health check, from its image or compose, or ends; whoever waits for one waits for that."""
    found = services()[service]
    for name, each in found.get("depends_on", {}).items():
        assert ("service_completed_successfully" if name in ONCE else "service_healthy") == each["condition"]
    if service in ONCE:
        assert "no" == found["restart"]
        return
    stages = dockerfile_stages()
    stage = stages.get(found.get("build", {}).get("target", ""), "")
    while "HEALTHCHECK" not in stage and (base := stage.partition("\n")[0].removeprefix("FROM ")) in stages:
        stage = stages[base]
    assert "HEALTHCHECK" in stage or found["healthcheck"]["test"]


def test_grafana_has_no_password_to_guess() -> None:
    """Nobody can log in, so that no account is left with the password that everybody knows."""
    environment = services()["grafana"]["environment"]
    assert ("false", "true", "true") == (
        environment["GF_AUTH_BASIC_ENABLED"],
        environment["GF_AUTH_DISABLE_LOGIN_FORM"],
        environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"],
    )


@pytest.mark.parametrize("service", SERVICES)
def test_the_grace_covers_the_drain(service: str) -> None:
    """Nobody is killed before the process has had the time that it takes to leave."""
    fields = SETTINGS[service].model_fields
    drain_s = fields["drain_delay_s"].default + fields["drain_timeout_s"].default
    assert seconds(services()[service]["stop_grace_period"]) > drain_s


def test_triton_has_time_to_leave() -> None:
    """Triton's own time to finish fits into what compose grants."""
    assert seconds(services()["triton"]["stop_grace_period"]) > EXIT_TIMEOUT_S


def test_preprocess_shares_a_network_with_the_gateway_alone() -> None:
    """Of the services without which nothing works, only the gateway can be reached by what parses strangers' files."""
    networks = {name: set(service.get("networks", ())) for name, service in services().items()}
    assert {"decode"} == networks["preprocess"]
    assert {"gateway", "preprocess"} == {name for name in OURS if "decode" in networks[name]}
    assert compose()["networks"]["decode"] == {"internal": True}


def test_experiments_are_kept_where_callers_cannot_reach() -> None:
    """The service shares a network with the gateway, one with the database, and keeps things in a volume of its own."""
    networks = {name: set(service.get("networks", ())) for name, service in services().items()}
    found = services()["experiments"]
    assert {"evidence", "store"} == networks["experiments"]
    assert {"gateway", "experiments"} == {name for name in OURS if "evidence" in networks[name]}
    assert {"postgres", "experiments"} == {name for name in networks if "store" in networks[name]}
    assert [{"internal": True}] * 2 == [compose()["networks"][name] for name in ("evidence", "store")]
    assert [f"experiments:{image_variables('experiments')['TRIPTYCH_DATA_DIR']}"] == found["volumes"]
    assert "experiments" in compose()["volumes"]


def test_the_folder_of_experiments_is_theirs() -> None:
    """A new volume takes over owner and mode of the image's folder: its user may write there, and nobody else read."""
    stage = dockerfile_stages()["experiments"]
    assert "install --directory --owner=10001 --group=10001 --mode=0700 /data" in stage
    assert stage.index("install --directory") < stage.index("VOLUME /data") < stage.index("USER 10001:10001")


def test_the_gateway_starts_without_experiments() -> None:
    """It knows the service by its name and its port for gRPC, and waits for none of it."""
    found = services()["gateway"]
    port = image_variables("experiments")["TRIPTYCH_PORT"]
    assert f"dns:///experiments:{port}" == found["environment"]["TRIPTYCH_EXPERIMENTS_TARGET"]
    assert "experiments" not in found["depends_on"]


def test_postgres_is_waited_for_only_where_it_is() -> None:
    """The service waits for the database of its profile, and does without where that is not started."""
    assert {"condition": "service_healthy", "required": False} == services()["experiments"]["depends_on"]["postgres"]
    told = (ROOT / ".env").read_text()
    assert "postgresql://triptych:${POSTGRES_PASSWORD}@postgres/triptych" in told
    assert "TRIPTYCH_DATABASE_URL" in services()["experiments"]["environment"]


def test_plain_up_runs_on_a_cpu() -> None:
    """Without a word more, compose starts the Triton for CPUs, and the version is the distribution's."""
    assert ("cpu", version()) == (dotenv()["COMPOSE_PROFILES"], dotenv()["TRIPTYCH_VERSION"])
    assert f"ARG VERSION={version()}" in dockerfile_stages()["base"]


@pytest.mark.parametrize("service", OURS)
def test_images_are_built_from_their_targets(service: str) -> None:
    """Each image of ours has the contract's name, and a target of the Dockerfile."""
    target = "triton-cpu" if service == "triton" else service
    image = services()[service]["image"].replace("${TRIPTYCH_VERSION:-0.1.0}", version())
    assert (image_name(target), target) == (image, services()[service]["build"]["target"])


@pytest.mark.parametrize("target", sorted(LIMITS_MB))
def test_every_image_runs_as_nobody(target: str) -> None:
    """Each image names a user that is not root, and its program as a list."""
    stage = dockerfile_stages()[target]
    entrypoint = next(line for line in stage.splitlines() if line.startswith("ENTRYPOINT "))
    assert "USER 10001:10001" in stage
    assert json.loads(entrypoint.removeprefix("ENTRYPOINT "))


@pytest.mark.parametrize("service", SERVICES)
def test_the_chart_runs_the_same_images(service: str) -> None:
    """The chart's values name the images that the Dockerfile makes."""
    values: dict[str, Any] = yaml.safe_load((ROOT / "helm/triptych/values.yaml").read_text())
    assert image_name(service).partition(":")[0] == values[service]["image"]["repository"]


def test_an_image_gets_what_its_extra_names() -> None:
    """Extras of extras count; what only the command line needs comes with the image that is one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    gateway, modelkit = requirements(project, "gateway"), requirements(project, "modelkit")
    assert {"fastapi", "grpcio", "uvloop"} <= {each.partition(">")[0] for each in gateway}
    assert [] == [each for each in gateway if each.startswith(("rich", "typer", "torch", "triptych"))]
    assert {"pillow", "rich", "torch", "tritonclient[grpc]"} <= {each.partition(">")[0] for each in modelkit}


def test_the_image_of_experiments_needs_no_tensors() -> None:
    """NumPy, which its image leaves out, is loaded by nothing that its process is made of."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    program = "import sys, services.experiments.service; sys.exit('numpy' in sys.modules)"
    names = {each.partition(">")[0] for each in requirements(project, "experiments")}

    assert ({"alembic", "sqlalchemy"}, set()) == (names & {"alembic", "sqlalchemy"}, names & {"numpy", "rich"})
    assert 0 == subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode


def test_all_services_are_known_to_the_settings() -> None:
    """No service is left out of these tests."""
    assert set(SETTINGS) == set(SERVICES)
    assert all(issubclass(each, ProcessSettings) for each in SETTINGS.values())
