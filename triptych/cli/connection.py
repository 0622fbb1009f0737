"""The connection of commands that ask a gateway: its options, and its errors in words."""

import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

from triptych.cli.options import (
    CaFile,
    CertFile,
    Gateway,
    KeyFile,
    Server,
    StateDir,
    Timeout,
    UseTls,
    gateway_or_fail,
    tls_or_fail,
)
from triptych.cli.output import fail

if TYPE_CHECKING:
    from triptych import ClassifyError
    from triptych.client.line import Line

LACKING = "The gateway at {address} keeps no experiments and no feedback: it runs without them, or is an older one."


@dataclass(frozen=True, slots=True)
class Connection:
    """Says how to reach the gateway that a command asks."""

    gateway: Gateway
    tls: Any
    """`triptych.Tls`, or None for plain text."""
    timeout_s: float

    @contextmanager
    def line(self) -> Iterator["Line"]:
        """Opens the line while the context is open; a call that fails ends the command with a sentence."""
        from triptych import ClassifyError
        from triptych.client.line import Line

        line = Line(self.gateway.address, self.tls)
        try:
            yield line
        except ClassifyError as error:
            fail(self.explain(error))
        finally:
            line.close()

    def explain(self, error: "ClassifyError") -> str:
        """Returns a sentence for a person about a call that failed."""
        if error.code == "UNIMPLEMENTED" and not error.reason:
            return LACKING.format(address=self.gateway.address)
        return f"{explain(error, self.gateway)}{self._advice(error.reason)}"

    def _advice(self, reason: str) -> str:
        """Returns what to do about a cluster on this machine that lacks experiments."""
        cluster, flag = self.gateway.cluster, self.gateway.flag
        if cluster is None:
            return ""
        if reason == "EXPERIMENTS_OFF":
            return f" Start the cluster anew without --no-experiments: `triptych down{flag}`, `triptych up{flag}`."
        if reason == "DEPENDENCY_UNAVAILABLE" and not cluster.healthy:
            return f" {self.gateway.absent()}"
        return ""


def _connection(
    server: Server = None,
    timeout: Timeout = 10.0,
    tls: UseTls = False,
    ca_file: CaFile = None,
    cert_file: CertFile = None,
    key_file: KeyFile = None,
    state_dir: StateDir = None,
) -> Connection:
    secured = tls_or_fail(wanted=tls, ca_file=ca_file, cert_file=cert_file, key_file=key_file)
    return Connection(gateway_or_fail(server, state_dir), secured, timeout)


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of a connection in place of its parameter `connection`, behind its own options."""
    options = inspect.signature(_connection).parameters
    own = inspect.signature(command).parameters

    @wraps(command)
    def run(**values: Any) -> None:
        given = {name: values.pop(name) for name in options}
        command(connection=_connection(**given), **values)

    shared = {name: _apart(hint) for name, hint in get_type_hints(_connection, include_extras=True).items()}
    hints = {**get_type_hints(command, include_extras=True), **shared}
    kept = [each for name, each in own.items() if name != "connection"]
    parameters = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[each.name])
        for each in (*kept, *options.values())
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what Typer reads
    run.__annotations__ = {each.name: hints[each.name] for each in parameters}
    return run


def _apart(hint: Any) -> Any:
    """Returns the type of an option that stands below a heading of its own in the help."""
    kind, *infos = get_args(hint) or (hint,)
    if not infos:
        return hint
    info = copy.copy(infos[0])
    info.rich_help_panel = "Connection"
    return Annotated[kind, info]


def explain(error: "ClassifyError", gateway: Gateway) -> str:
    """Returns a sentence for a person about a call that failed, with what to do where that is known."""
    if error.code == "UNAVAILABLE" and not error.reason:
        if "certificate" in error.message:
            return f"{error.message} --ca-file names who is trusted, --cert-file and --key-file who you are."
        if gateway.cluster is not None:
            return gateway.absent()
        return f"{error.message} {gateway.absent()}" if error.message.startswith("Nothing answers") else error.message
    if error.code == "DEADLINE_EXCEEDED" and not error.reason:
        return error.message
    return told(error)


def told(error: "ClassifyError") -> str:
    """Returns what the server said, with what to look for in its logs."""
    return f"{error.message} ({error.reason or error.code}, request {error.request_id})"
