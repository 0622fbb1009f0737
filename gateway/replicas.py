"""How many replicas stand behind a gRPC name: so many messages are under way that each has its share."""

import asyncio
import socket

_SCHEMES = ("ipv4:", "ipv6:", "unix:", "inprocess:", "link:")


def listed(target: str) -> int | None:
    """Returns the number of addresses that a target lists; None when it is a name."""
    listing = target.startswith(_SCHEMES) and not target.startswith("link:///")
    return target.count(",") + 1 if listing else None


async def resolved(target: str) -> int:
    """Returns the number of addresses behind a name such as `dns:///preprocess:8081`; 1 when it cannot be resolved."""
    host, _, port = target.removeprefix("dns:").removeprefix("link:").rpartition("/")[2].rpartition(":")
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # a name too long to be one is told by the codec
        return 1
    return len({address[:2] for *_, address in found}) or 1
