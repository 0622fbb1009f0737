"""What a service is before anybody knows how it is reached: over the network, or within the same process."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from servicekit.health import Readiness

Register = Callable[[Any], None]
"""Adds a servicer to a `grpc.aio.Server`, or to an `InProcessServer`."""


@dataclass(frozen=True, slots=True)
class Service:
    """Is a servicer, or several that belong together, wired and running."""

    name: str
    """`package.Service`."""
    register: Register
    readiness: Readiness
    probes: tuple[str, ...] = ()
    """Methods that others call only to see how the process is; they are not logged."""
    also: tuple[str, ...] = ()
    """Names of further services that it registers."""

    @property
    def names(self) -> tuple[str, ...]:
        """Returns the names of all services, whose health is its readiness."""
        return (self.name, *self.also)
