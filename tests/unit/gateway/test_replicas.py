"""How many replicas a gRPC name stands for."""

import pytest

from gateway.replicas import listed, resolved


@pytest.mark.parametrize(
    ("target", "count"),
    [
        ("ipv4:10.0.0.1:81", 1),
        ("ipv4:10.0.0.1:81,10.0.0.2:81,10.0.0.3:81", 3),
        ("ipv6:[::1]:81,[::2]:81", 2),
        ("unix:/run/preprocess.sock", 1),
        ("dns:///preprocess:8081", None),
        ("link:10.0.0.1:82,10.0.0.2:82", 2),
        ("link:///preprocess:82", None),
        ("preprocess:8081", None),
    ],
)
def test_listed_addresses_are_counted(target: str, count: int | None) -> None:
    """A list says how many there are; a name has to be asked for."""
    assert count == listed(target)


@pytest.mark.parametrize(
    "target",
    [
        "dns:///127.0.0.1:81",
        "dns:127.0.0.1:81",
        "127.0.0.1:81",
        "dns:///[::1]:81",
        "link:///127.0.0.1:81",
        "link:///[::1]:81",
    ],
)
async def test_a_name_is_resolved(target: str) -> None:
    """Every way to write a name leads to its addresses."""
    assert 1 == await resolved(target)


async def test_an_unknown_name_counts_as_one() -> None:
    """A replica may appear at any moment, and its first message must not wait."""
    assert 1 == await resolved("dns:///no-such-host.invalid:81")
