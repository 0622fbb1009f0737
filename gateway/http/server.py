"""uvicorn inside the gateway's own event loop, drained like the gRPC server beside it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, cast

import uvicorn
from fastapi import FastAPI

from gateway.http.middleware import RequestFrame
from gateway.http.protocol import BoundedProtocol, Bounds, bounded
from gateway.settings import GatewaySettings
from servicekit.tls import Tls
from servicekit.tracing import Tracer

LINGER_S = 0.25
"""How long connections without a request stay open once nobody can connect any more."""

SILENCE_S = 3.0
"""How long a client that has connected, but not asked yet, may take over its first request."""

LOOK_INTERVAL_S = 0.02


def _connected(listener: socket.socket) -> Iterator[socket.socket]:
    listener.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            connection, _ = listener.accept()
            connection.settimeout(0)
            yield connection


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, tls: Tls | None) -> None:
        super().__init__(config)
        self.tls = tls
        self.listeners: Sequence[socket.socket] = ()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals alone: the process has one drain for both servers."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens; over TLS it does so itself, since uvicorn would let a handshake take a minute."""
        self.listeners = sockets or ()
        await super().startup([] if self.tls else sockets)
        if self.tls is None:
            return
        loop = asyncio.get_running_loop()
        for each in sockets or ():
            self.servers.append(await loop.create_server(self._protocol, sock=each, **self.tls.listening()))

    async def listen_no_more(self) -> None:
        """Closes the listener, but takes in whom the kernel connected already: those it would reset."""
        loop = asyncio.get_running_loop()
        arguments = self.tls.listening() if self.tls else {}
        for listener in self.listeners:
            loop.remove_reader(listener)  # asyncio drops whom it has accepted in the step in which its server closes
        await asyncio.sleep(0)
        waiting = [connection for listener in self.listeners for connection in _connected(listener)]
        for server in self.servers:
            server.close()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection, **arguments)

    async def first_requests(self) -> None:
        """Returns once every client that is connected has asked something, or was silent for too long."""
        for _ in range(round(SILENCE_S / LOOK_INTERVAL_S)):
            if all(cast("BoundedProtocol", each).asked for each in self.server_state.connections):
                break
            await asyncio.sleep(LOOK_INTERVAL_S)

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


class HttpServer:
    """Serves the application over HTTP/1.1, plain or over TLS."""

    def __init__(
        self, settings: GatewaySettings, app: FastAPI, tls: Tls | None = None, tracer: Tracer | None = None
    ) -> None:
        # Base64 needs four bytes for three; the rest is room for JSON and multipart around it.
        most = settings.max_request_bytes * 3 // 2
        held = settings.max_body_bytes_in_flight
        self._frame = RequestFrame(app, most, held, tracer, log_every=settings.request_log)
        self._settings = settings
        self._server = _Uvicorn(
            uvicorn.Config(
                self._frame,
                lifespan="off",
                loop="none",
                http=bounded(Bounds(settings.max_connections, settings.http_head_timeout_s)),
                timeout_keep_alive=round(settings.http_idle_timeout_s),
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=round(settings.drain_timeout_s),
                backlog=2048,
            ),
            tls,
        )
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listens while the context is open.

        Raises:
            OSError: the port is taken.
        """
        listener = socket.create_server((self._settings.host, self._settings.http_port), backlog=2048)
        self.port = listener.getsockname()[1]
        task = asyncio.create_task(self._server.serve([listener]))
        try:
            yield
        finally:
            self._server.should_exit = True
            await task
            listener.close()

    def turn_away(self) -> None:
        """Asks clients, with each answer, to come back on a new connection."""
        self._frame.draining = True

    async def drain(self) -> None:
        """Turns clients away; once they have had time to notice, listens no more, and at last closes what idles.

        Between the two lies a pause, for whoever connected a moment ago and is about to send its request.
        """
        self.turn_away()
        await asyncio.sleep(self._settings.drain_delay_s)
        await self._server.listen_no_more()
        await asyncio.sleep(LINGER_S)
        await self._server.first_requests()
        self._server.should_exit = True
