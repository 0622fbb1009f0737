"""Channels to neighbours: balanced over replicas, quick to notice a dead one, quick to come back."""

import json
from typing import cast

import grpc

from servicekit.link.channel import SCHEME, LinkChannel
from servicekit.tls import Tls
from servicekit.tls_grpc import SecureChannel

KEEPALIVE_TIME_MS = 10_000
KEEPALIVE_TIMEOUT_MS = 3_000

# For messages of a megabyte: fewer frames, fewer turns of reading and writing. `python -m benchmarks.hops` tries more.
_LARGE_MESSAGES: tuple[tuple[str, int], ...] = (
    ("grpc.http2.max_frame_size", 2**20),
    ("grpc.http2.write_buffer_size", 2**21),
)


def open_channel(
    target: str,
    *,
    max_message_bytes: int,
    health_service: str | None = None,
    tls: Tls | None = None,
    server_name: str | None = None,
) -> grpc.aio.Channel:
    """Opens a channel to every address behind `target`.

    Args:
        target: a gRPC name, such as `dns:///preprocess:8081` (a headless service) or `ipv4:10.0.0.1:81,10.0.0.2:81`;
            or that of a service that serves links, `link:///preprocess:8082` or `link:10.0.0.1:82,10.0.0.2:82`.
        max_message_bytes: largest message, in and out.
        health_service: name whose health each replica is watched for; requests go only to those that are SERVING.
            Triton has no Watch (it would be ignored), so its channels leave this out and are probed instead.
        tls: how to prove who both ends are; without it nothing is encrypted.
        server_name: whom a server's certificate must be for; by default the host in the target, also where it is a
            name that leads to addresses.

    Raises:
        ValueError: the target begins like that of links and is none; or it lists several hosts and TLS cannot know
            whom to expect.
    """
    if target.startswith(SCHEME):
        link = LinkChannel(
            target,
            max_message_bytes=max_message_bytes,
            only_ready=health_service is not None,
            tls=tls,
            server_name=server_name,
        )
        return cast("grpc.aio.Channel", link)  # it is all that stubs of unary calls need
    options = _options(max_message_bytes, health_service)
    if tls is None:
        return grpc.aio.insecure_channel(target, options=options)
    if name := server_name or _only_host(target):
        options.append(("grpc.default_authority", name))
    return cast("grpc.aio.Channel", SecureChannel(target, options, tls))


def _only_host(target: str) -> str | None:
    """Returns the host in a list of addresses, whom gRPC would not know to expect; None where the target is no list."""
    scheme, _, addresses = target.partition(":")
    if scheme not in ("ipv4", "ipv6"):
        return None
    hosts = {address.strip().rpartition(":")[0].strip("[]") for address in addresses.split(",")}
    if len(hosts) > 1:
        raise ValueError(f"{target!r} lists several hosts: with TLS, use a name (`dns:///...`) or links (`link:...`)")
    return hosts.pop()


def _options(max_message_bytes: int, health_service: str | None) -> list[tuple[str, str | int]]:
    # No retryPolicy: retries live in one place, in the gateway. gRPC's transparent retries, which only repeat what
    # never left this machine or was refused unseen, stay on, and need a buffer that holds the largest message.
    config: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if health_service is not None:
        config["healthCheckConfig"] = {"serviceName": health_service}
    return [
        *_LARGE_MESSAGES,
        ("grpc.service_config", json.dumps(config)),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.per_rpc_retry_buffer_size", max_message_bytes),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1_000),  # also the time a connection attempt may take
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.dns_min_time_between_resolutions_ms", 1_000),  # the default of 30 s rules out recovery within two
        ("grpc.use_local_subchannel_pool", 1),
    ]


def server_options(max_message_bytes: int, max_connection_age_s: float) -> list[tuple[str, int]]:
    """Returns the options of every server: limits, gentle connection turnover, keepalive that suits our channels."""
    return [
        *_LARGE_MESSAGES,
        ("grpc.so_reuseport", 0),  # a taken port is an error, not a silent share
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_connection_age_ms", round(max_connection_age_s * 1e3)),
        # No max_connection_age_grace: calls end by their deadlines, and a video on an old connection may go on.
        ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_TIME_MS // 2),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.server_handshake_timeout_ms", 5_000),
        ("grpc.max_concurrent_streams", 1_000),
    ]
