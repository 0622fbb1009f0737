"""Docker or podman, whichever is here, as far as building and proving the images needs them."""

import json
import os
import resource
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.containers.command import CommandError, run, succeeds

COMPOSE_FOR_PODMAN = Path(__file__).parents[2] / ".venv-containers/bin/podman-compose"
DEBIAN_PACKAGES = ("podman", "runc", "netavark", "aardvark-dns", "iptables", "catatonit", "buildah", "debootstrap")
NETAVARK = Path("/usr/lib/podman/netavark")
UNIFIED_CGROUPS = Path("/sys/fs/cgroup/cgroup.controllers")
LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
MOST = 32768
"""Limits that podman sets unless told otherwise are beyond what it may on some machines, where it runs nothing then."""


class EngineError(RuntimeError):
    """Says why no containers can be run here, and what to do about it."""


@dataclass(frozen=True)
class Engine:
    """Is a container engine with its compose."""

    name: str
    program: tuple[str, ...]
    compose: tuple[str, ...]
    lends_folders: bool
    """Whether a build can see folders and files of this machine."""

    def __call__(self, *arguments: str, timeout_s: float = 120, stdin: str | None = None) -> str:
        """Runs one of its commands and returns what it wrote.

        Raises:
            CommandError: it failed.
        """
        return run([*self.program, *arguments], timeout_s, stdin)

    def inspect(self, container: str) -> dict[str, Any]:
        """Returns everything about a container."""
        found: list[dict[str, Any]] = json.loads(self("container", "inspect", container))
        return found[0]

    def logs(self, container: str, *options: str) -> str:
        """Returns what a container wrote, to its standard output and to its standard error."""
        return run(["sh", "-c", 'exec "$0" "$@" 2>&1', *self.program, "logs", *options, container])

    def has_image(self, name: str) -> bool:
        """Says whether an image is here."""
        return succeeds(*self.program, "image", "inspect", name)

    def size_bytes(self, image: str) -> int:
        """Returns what an image takes, unpacked, what it shares with others included."""
        return int(self("image", "inspect", "--format", "{{.Size}}", image))

    def healthy(self, container: str) -> bool:
        """Says whether a container runs and its health check passes."""
        state = self.inspect(container)["State"]
        if state["Status"] != "running":
            return False
        if self.name == "podman":  # without systemd nothing makes podman check by itself
            return succeeds(*self.program, "healthcheck", "run", container)
        return bool(state["Health"]["Status"] == "healthy")

    def steady_bridges(self, label: str) -> None:
        """Has the bridges of podman's networks that bear a label keep the hardware address that they have.

        Each takes over the address of a container's end of it, and another one's when that container goes. Containers
        that remember the old one then reach no name server, for up to 45 s, and nobody whose address is new. Bridges of
        docker, and of netavark from 1.9 on, have an address of their own.
        """
        if self.name != "podman" or os.geteuid() != 0:
            return
        for network in self("network", "ls", "--quiet", "--filter", label).split():
            bridge = json.loads(self("network", "inspect", network))[0]["network_interface"]
            hardware = Path(f"/sys/class/net/{bridge}/address")
            if hardware.exists():  # there is none before the first container
                run(["ip", "link", "set", "dev", bridge, "address", hardware.read_text().strip()])


def find_engine(folder: Path) -> Engine:
    """Returns the engine of this machine; installs podman where there is none and that can be done.

    Args:
        folder: where to write podman's configuration.

    Raises:
        EngineError: there is none.
    """
    if succeeds("docker", "info") and succeeds("docker", "compose", "version"):
        return Engine("docker", ("docker",), ("docker", "compose"), lends_folders=False)
    if not shutil.which("podman"):
        _install_podman()
    variables = ["BUILDAH_FORMAT=docker"]  # the other format knows no HEALTHCHECK
    if os.geteuid() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "containers.conf").write_text(_configuration())
        variables.append(f"CONTAINERS_CONF={folder / 'containers.conf'}")
    about = ("env", *variables)
    return Engine("podman", (*about, "podman"), (*about, str(COMPOSE_FOR_PODMAN)), lends_folders=True)


def _configuration() -> str:
    """Returns settings of podman for machines where its own do not work."""
    highest = {name: min(resource.getrlimit(number)[1], MOST) for name, number in LIMITS.items()}
    limits = [f'"{name}={limit}:{limit}"' for name, limit in highest.items() if limit > 0]
    lines = ["[containers]", f"default_ulimits = [{', '.join(limits)}]"]
    if NETAVARK.exists():
        lines += ["[network]", 'network_backend = "netavark"']  # the other one finds no names
    if not UNIFIED_CGROUPS.exists() and shutil.which("runc"):
        lines += ["[engine]", 'runtime = "runc"']  # crun wants cgroups of one version
    return "\n".join([*lines, ""])


def _install_podman() -> None:
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise EngineError(
            "Neither docker (with compose) nor podman is here: install one, or be root on Debian or Ubuntu."
        )
    sys.stdout.write("There is neither docker (with compose) nor podman: installing Debian's podman.\n")
    try:
        run(["apt-get", "update", "-qq"], 300)
        options = ["-qq", "--yes", "--no-install-recommends"]
        run(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", *options, *DEBIAN_PACKAGES], 600)
    except CommandError as error:
        raise EngineError(f"podman could not be installed: {error}") from None
