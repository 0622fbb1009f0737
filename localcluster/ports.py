"""Ports that stay ours: held by the supervisor, listened on by its children."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


class PortTakenError(OSError):
    """Says that a port that was asked for by number is in use."""


class PortLeases:
    """Holds ports for the life of a cluster, so that every address is known before anything starts.

    A lease is a socket that is bound with SO_REUSEADDR and never listens. Linux then gives the port to nobody else
    (neither as a free port nor as the source of a connection), yet lets a child that sets SO_REUSEADDR too, as
    servers do, listen on it, again and again. The kernel ends the leases with the process that holds them.
    """

    def __init__(self, held: ExitStack) -> None:
        self._held = held

    def take(self, host: str, port: int = 0) -> int:
        """Leases a port, any free one for 0, and returns it.

        Raises:
            PortTakenError: somebody else has this port.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        lease = self._held.enter_context(socket.socket(family, socket.SOCK_STREAM))
        lease.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            lease.bind((host, port))
        except OSError as error:
            raise PortTakenError(f"Port {port} on {host} cannot be used: {error.strerror}.") from error
        return int(lease.getsockname()[1])

    def prefer(self, host: str, wanted: int | None, default: int) -> int:
        """Leases `wanted`, which must be free, or else `default` or, when that is taken, any free port."""
        if wanted is not None:
            return self.take(host, wanted)
        try:
            return self.take(host, default)
        except PortTakenError:
            return self.take(host)


@contextmanager
def port_leases() -> Iterator[PortLeases]:
    """Opens a set of leases; they end with the context."""
    with ExitStack() as held:
        yield PortLeases(held)
