"""Which Triton servers there are: those listed in settings, and one at each address of a name, as pods come and go."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from servicekit import names
from servicekit.names import Address, format_address, parse_address
from servicekit.server import background
from services.inference.triton import Triton

log = structlog.get_logger()

NAME_SCHEME = "dns:///"


def named(target: str) -> Address | None:
    """Returns host and port of a target such as `dns:///triton:8001`; None when it is one server's.

    Raises:
        ValueError: it begins like a name and is none.
    """
    if not target.startswith(NAME_SCHEME):
        return None
    address = parse_address(target.removeprefix(NAME_SCHEME))
    if address is None:
        raise ValueError(f"{target!r} is not like `dns:///triton:8001`")
    return address


class TritonServers:
    """Holds a connection to every Triton server."""

    def __init__(self, targets: Sequence[str], connect: Callable[..., Triton]) -> None:
        """Connects to the servers that have addresses of their own; `running` finds the others.

        Args:
            targets: `127.0.0.1:8001` is one server, `dns:///triton:8001` one at every address of the name.
            connect: makes the caller's side of one server, given its gRPC name; `server_name` is what led to it.

        Raises:
            ValueError: a target begins like a name and is none.
        """
        self._connect = connect
        self._names = [name for target in targets if (name := named(target)) is not None]
        self._listed = [connect(target) for target in targets if named(target) is None]
        self._found: dict[Address, dict[Address, Triton]] = {name: {} for name in self._names}
        self._leaving: list[Triton] = []

    def __iter__(self) -> Iterator[Triton]:
        """Iterates over the servers that take requests now; any thread may."""
        return iter([*self._listed, *(server for found in self._found.values() for server in list(found.values()))])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps in step with the names while the context is open, then closes every connection."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            await stack.enter_async_context(background(*(self._follow(name) for name in self._names)))
            yield

    async def _follow(self, name: Address) -> None:
        async for addresses in names.follow(*name):
            if addresses is not None:  # a resolver that is away says nothing about servers that answer
                self._update(name, addresses)

    def _update(self, name: Address, addresses: frozenset[Address]) -> None:
        found = self._found[name]
        for address in found.keys() - addresses:
            server = found.pop(address)
            log.info("a triton server has left", server=server.target)
            self._leaving.append(server)
        for address in sorted(addresses - found.keys()):
            found[address] = self._connect(format_address(address), server_name=name[0])
            log.info("a triton server has come", server=found[address].target)

    async def let_go(self) -> None:
        """Closes the connections to servers that have left, once their requests are answered.

        Call it while none is being asked anything: whoever waits on a connection that is closed would be cancelled.
        """
        for server in [each for each in self._leaving if not each.in_flight]:
            self._leaving.remove(server)
            await server.close()

    async def _close(self) -> None:
        for server in (*self, *self._leaving):
            await server.close()
