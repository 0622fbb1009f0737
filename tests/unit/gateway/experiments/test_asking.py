"""Who asks."""

import pytest

from gateway.experiments.asking import asker_of
from servicekit import context
from servicekit.errors import InvalidArgument


@pytest.mark.parametrize(
    ("headers", "key", "tenant"),
    [
        ({"x-route-key": "me", "x-tenant": "shop"}, "me", "shop"),
        ({"x-tenant": "shop"}, "shop", "shop"),
        ({"x-route-key": "me"}, "me", ""),
        ({"x-route-key": "", "x-tenant": ""}, "order-7", ""),
        ({"x-route-key": b"bytes"}, "order-7", ""),
        ({}, "order-7", ""),
    ],
)
def test_the_key_is_the_first_that_there_is(headers: dict[str, object], key: str, tenant: str) -> None:
    """Route key, tenant, request id."""
    asker = asker_of(context.accept("order-7", None, headers=headers), 1)

    assert (key, tenant) == (asker.key, asker.tenant)


def test_requests_of_one_id_are_told_apart() -> None:
    """Frames of a video share theirs."""
    asking = context.accept("video", None)

    assert asker_of(asking, 1).request_id != asker_of(asking, 2).request_id


@pytest.mark.parametrize("name", ["x-route-key", "x-tenant"])
def test_what_is_too_long_is_refused(name: str) -> None:
    """256 characters are enough; the error names the header."""
    asker_of(context.accept("order-7", None, headers={name: "k" * 256}), 1)
    with pytest.raises(InvalidArgument, match=f"{name} may have at most 256 characters") as caught:
        asker_of(context.accept("order-7", None, headers={name: "k" * 257}), 1)

    assert name == caught.value.field


@pytest.mark.parametrize("tenant", ["shop\n", "\x00", "a\u00adb"])
def test_a_tenant_that_cannot_be_printed_is_refused(tenant: str) -> None:
    """It would be stored, and the experiments service stores no such name."""
    with pytest.raises(InvalidArgument, match="printable"):
        asker_of(context.accept("order-7", None, headers={"x-tenant": tenant}), 1)


def test_other_headers_may_be_long() -> None:
    """They are compared, and not kept."""
    headers = {"cookie": "c" * 1000}

    assert headers == asker_of(context.accept("order-7", None, headers=headers), 1).headers
