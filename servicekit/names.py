"""The addresses behind a name, now and from now on: a headless service has one for each of its replicas."""

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future

import structlog

log = structlog.get_logger()

Address = tuple[str, int]
"""Host and port."""

INTERVAL_S = 1.0
"""Pause between two look-ups of a name that is followed."""
PATIENCE_S = 1.0
"""How long a look-up may take before another one is begun."""
_ADDRESS = re.compile(r"(?:\[([^\]\s]+)\]|([^\s\[\]:/,]+)):(\d{1,5})")


def parse_address(text: str) -> Address | None:
    """Takes `host:port` or `[::1]:port` apart; None when the text is none."""
    match = _ADDRESS.fullmatch(text)
    if match is None or not 1 <= int(match[3]) <= 65535:
        return None
    return match[1] or match[2], int(match[3])


def format_address(address: Address) -> str:
    """Writes an address as gRPC reads it, hosts of IPv6 in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def resolve(host: str, port: int | str) -> frozenset[Address] | None:
    """Returns the addresses behind a name; None when it cannot be resolved.

    A query that is lost on its way is repeated by the machine's resolver after five seconds only, in which replicas
    may have come and gone: so this asks once more after `PATIENCE_S`, and takes the answer that comes first.
    """
    asked: set[asyncio.Future[frozenset[Address]]] = set()
    try:
        for patience_s in (PATIENCE_S, None):
            asked.add(_look_up(host, port))
            done, _ = await asyncio.wait(asked, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return done.pop().result()
    except (OSError, UnicodeError) as error:  # a name too long to be one is told by the codec
        log.debug("a name cannot be resolved", name=host, problem=str(error))
    finally:
        for each in asked:
            each.cancel()
    return None


def _look_up(host: str, port: int | str) -> "asyncio.Future[frozenset[Address]]":
    """Begins a look-up, in a thread of its own.

    The event loop has four threads for all of them, and a process waits for those before it ends. With a name server
    that is silent, look-ups of five seconds would queue for them, and hold up the end.
    """
    answer: Future[frozenset[Address]] = Future()
    answer.set_running_or_notify_cancel()  # from here on nobody can cancel it

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answer.set_exception(error)
        else:
            answer.set_result(frozenset((str(address[0]), int(address[1])) for *_, address in found))

    threading.Thread(target=ask, name=f"look-up of {host}", daemon=True).start()
    return asyncio.wrap_future(answer)


async def follow(host: str, port: int) -> AsyncIterator[frozenset[Address] | None]:
    """Yields what `resolve` returns, at once and again and again, forever."""
    known: frozenset[Address] = frozenset()
    while True:
        found = await resolve(host, port)
        if found is not None and found != known:
            known = found
            log.info("a name leads elsewhere", name=host, addresses=sorted(map(format_address, found)))
        yield found
        await asyncio.sleep(INTERVAL_S)
