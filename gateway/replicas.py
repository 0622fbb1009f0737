"""How many replicas stand behind a gRPC name: so many messages are under way that each has its share."""

from servicekit.names import resolve

_SCHEMES = ("ipv4:", "ipv6:", "unix:", "inprocess:", "link:")


def listed(target: str) -> int | None:
    """Returns the number of addresses that a target lists; None when it is a name."""
    listing = target.startswith(_SCHEMES) and not target.startswith("link:///")
    return target.count(",") + 1 if listing else None


async def resolved(target: str) -> int:
    """Returns the number of addresses behind a name such as `dns:///preprocess:8081`; 1 when it cannot be resolved."""
    host, _, port = target.removeprefix("dns:").removeprefix("link:").rpartition("/")[2].rpartition(":")
    return len(await resolve(host.strip("[]"), port) or ()) or 1
