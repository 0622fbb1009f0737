"""The package `triptych`: what it exposes, and what importing it costs."""

import subprocess
import sys

import pytest

import triptych
import triptych.aio


@pytest.mark.parametrize("name", triptych.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Each name in `__all__` can be had."""
    assert getattr(triptych, name) is not None


def test_the_asyncio_client_has_two_names() -> None:
    """`triptych.aio.Client` is `triptych.AsyncClient`."""
    assert triptych.AsyncClient is triptych.aio.Client


def test_other_names_are_missing() -> None:
    """A name that does not exist fails as in any module."""
    with pytest.raises(AttributeError, match="nothing"):
        _ = triptych.nothing


def test_importing_the_package_is_cheap() -> None:
    """`import triptych` loads neither gRPC nor protobuf."""
    program = "import sys, triptych; print({'grpc', 'google.protobuf'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "set()" == done.stdout.strip()
