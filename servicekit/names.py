"""The addresses behind a name, now and from now on: a headless service has one for each of its replicas."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

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
    loop = asyncio.get_running_loop()
    asked: set[asyncio.Task[Any]] = set()
    try:
        for patience_s in (PATIENCE_S, None):
            asked.add(loop.create_task(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
            done, _ = await asyncio.wait(asked, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return frozenset((str(address[0]), int(address[1])) for *_, address in done.pop().result())
    except (OSError, UnicodeError) as error:  # a name too long to be one is told by the codec
        log.debug("a name cannot be resolved", name=host, problem=str(error))
    finally:
        for task in asked:
            task.cancel()
    return None


async def follow(host: str, port: int) -> AsyncIterator[frozenset[Address] | None]:
    """Yields what `resolve` returns, at once and again and again, forever."""
    while True:
        yield await resolve(host, port)
        await asyncio.sleep(INTERVAL_S)
