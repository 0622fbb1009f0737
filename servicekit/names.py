"""The addresses behind a name, now and from now on: a headless service has one for each of its replicas."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator

import structlog

log = structlog.get_logger()

Address = tuple[str, int]
"""Host and port."""

INTERVAL_S = 1.0
"""Pause between two look-ups of a name that is followed."""
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
    """Returns the addresses behind a name; None when it cannot be resolved."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a name too long to be one is told by the codec
        log.debug("a name cannot be resolved", name=host, problem=str(error))
        return None
    return frozenset((str(address[0]), int(address[1])) for *_, address in found)


async def follow(host: str, port: int) -> AsyncIterator[frozenset[Address] | None]:
    """Yields what `resolve` returns, at once and again and again, forever."""
    while True:
        yield await resolve(host, port)
        await asyncio.sleep(INTERVAL_S)
