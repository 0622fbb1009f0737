"""What a target of links may look like."""

import pytest

from servicekit.link.target import Target
from servicekit.names import Address


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("link:10.0.0.1:9001", [("10.0.0.1", 9001)]),
        ("link:10.0.0.1:9001, preprocess:9002", [("10.0.0.1", 9001), ("preprocess", 9002)]),
        ("link:[::1]:9001,[fe80::1%eth0]:65535", [("::1", 9001), ("fe80::1%eth0", 65535)]),
    ],
)
def test_a_list_names_each_replica(text: str, addresses: list[Address]) -> None:
    """Addresses and names stand with their ports, those of IPv6 in brackets, with commas between them."""
    assert Target(tuple(addresses), is_name=False) == Target.parse(text)


@pytest.mark.parametrize(("text", "host"), [("link:///preprocess:9001", "preprocess"), ("link:///[::1]:9001", "::1")])
def test_a_name_stands_for_all_replicas(text: str, host: str) -> None:
    """Three slashes make it one name, behind which any number of replicas may be."""
    assert Target(((host, 9001),), is_name=True) == Target.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "link:",
        "link:preprocess",
        "link:9001",
        "link::9001",
        "link:preprocess:",
        "link:preprocess:http",
        "link:preprocess:0",
        "link:preprocess:65536",
        "link:preprocess:-1",
        "link:preprocess:9001,",
        "link:pre process:9001",
        "link:::1:9001",
        "link:[::1]",
        "link://preprocess:9001",
        "link:///preprocess",
        "link:///:9001",
        "link:///preprocess:9001,postprocess:9001",
        "link:///preprocess:9001/path",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """The refusal repeats what was given and shows what would do."""
    with pytest.raises(ValueError, match=r"is not like `link:10") as caught:
        Target.parse(text)

    assert str(caught.value).startswith(repr(text))
