"""Ports: a lease keeps others out and lets a server in."""

import socket

import pytest

from localcluster.ports import PortTakenError, port_leases

HOST = "127.0.0.1"


def listener(port: int) -> socket.socket:
    """Listens as servers do, with SO_REUSEADDR."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((HOST, port))
    server.listen()
    return server


def test_a_server_may_listen_on_a_lease_again_and_again() -> None:
    """A leased port can be listened on, and again after that."""
    with port_leases() as leases:
        port = leases.take(HOST)
        for _ in range(2):
            with listener(port) as server:
                assert port == server.getsockname()[1]


def test_a_lease_keeps_strangers_out() -> None:
    """Who binds without SO_REUSEADDR does not get a leased port."""
    with port_leases() as leases, socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind((HOST, leases.take(HOST)))


def test_a_taken_default_gives_way() -> None:
    """When the default port is taken, a free one is leased."""
    with port_leases() as leases, listener(0) as other:
        taken = other.getsockname()[1]
        assert leases.prefer(HOST, None, taken) not in (0, taken)


def test_a_taken_port_that_was_asked_for_is_an_error() -> None:
    """A port that the user named is never exchanged for another."""
    with port_leases() as leases, listener(0) as other, pytest.raises(PortTakenError, match="cannot be used"):
        leases.prefer(HOST, other.getsockname()[1], 8080)
