"""Options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from localcluster.state import ClusterStatus
    from triptych import Tls

DEFAULT_SERVER = "localhost:8081"

StateDir = Annotated[
    Path | None,
    typer.Option(
        envvar="TRIPTYCH_STATE_DIR",
        metavar="FOLDER",
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


UseTls = Annotated[bool, typer.Option("--tls", envvar="TRIPTYCH_TLS", help="Reach the gateway over TLS.")]
CaFile = Annotated[
    Path | None,
    typer.Option(envvar="TRIPTYCH_CA_FILE", metavar="FILE", help="Authorities to trust (PEM); implies --tls."),
]
CertFile = Annotated[
    Path | None,
    typer.Option(
        envvar="TRIPTYCH_CERT_FILE", metavar="FILE", help="Certificate to show the gateway (PEM); implies --tls."
    ),
]
KeyFile = Annotated[
    Path | None, typer.Option(envvar="TRIPTYCH_KEY_FILE", metavar="FILE", help="Private key of that certificate (PEM).")
]


def tls_or_fail(*, wanted: bool, ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> "Tls | None":
    """Returns what the options say of TLS, None when they say nothing; ends the command when they cannot be met."""
    from triptych import Tls
    from triptych.cli.output import fail

    if not wanted and ca_file is cert_file is key_file is None:
        return None
    try:
        tls = Tls(ca_file, cert_file, key_file)
        tls.credentials()
    except ValueError:
        fail("--cert-file and --key-file belong together.", code=2)
    except OSError as error:
        fail(f"{error.filename} cannot be read: {error.strerror}.", code=2)
    return tls


def state_path(given: Path | None) -> Path:
    """Returns the state directory to use."""
    from localcluster.environment import state_directory

    return (given or state_directory()).absolute()


@dataclass(frozen=True, slots=True)
class Gateway:
    """Is the gateway that a command asks."""

    address: str
    cluster: "ClusterStatus | None"
    """The cluster on this machine that it belongs to, where that is known."""
    flag: str
    """What commands about that cluster need to find it."""

    def absent(self) -> str:
        """Says what to do when nobody answers."""
        if self.cluster is None:
            return f"Start a cluster with `triptych up{self.flag}`, or name one with --server."
        busy = [f"{each.title} {each.state}" for each in self.cluster.processes if each.state != "ready"]
        why = f" ({', '.join(busy)})" if busy else ""
        return f"The cluster is not ready{why}: see `triptych status{self.flag}`."


def find_gateway(given: str | None, state_dir: Path | None) -> Gateway:
    """Returns the gateway to ask: the one that was named, else the running cluster's, else the default.

    Raises:
        ValueError: what was named is no address.
        StateError: the state directory cannot be read.
    """
    from localcluster.environment import state_flag
    from localcluster.state import StateDirectory
    from triptych.client.requests import gateway_address

    state = StateDirectory(state_path(state_dir))
    cluster = state.running()
    address = gateway_address(given) if given else cluster.grpc if cluster else DEFAULT_SERVER
    own = cluster if cluster is not None and cluster.grpc == address else None
    return Gateway(address, own, state_flag(state.path))


def gateway_or_fail(given: str | None, state_dir: Path | None) -> Gateway:
    """Does what `find_gateway` does and ends the command where that raises."""
    from localcluster.state import StateError
    from triptych.cli.output import fail

    try:
        return find_gateway(given, state_dir)
    except ValueError as error:
        fail(f"--server: {error}", code=2)
    except StateError as error:
        fail(str(error))
