"""What machines ask a process over plain HTTP, whatever its other ports speak: is it alive, is it ready, how is it.

It answers from threads of its own, so that an event loop that hangs is told of, rather than hanging the question too.
"""

import asyncio
import concurrent.futures
import socket
import socketserver
import threading
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import ClassVar

from prometheus_client import MetricsHandler

from servicekit.health import Readiness
from servicekit.settings import ProcessSettings

LOOP_TIMEOUT_S = 1.0
"""An event loop that takes longer to do nothing is not alive."""
CLIENT_TIMEOUT_S = 5.0
"""A client that is slower to ask, or to take the answer, is let go."""
HUNG = f"The event loop did not turn within {LOOP_TIMEOUT_S:g} s."


def start_monitor(settings: ProcessSettings, readiness: Readiness) -> int:
    """Answers `/healthz`, `/readyz` and `/metrics` from now on, about the running event loop, and returns the port.

    Raises:
        OSError: the port is taken.
    """
    host = settings.host.strip("[]")  # gRPC wants those about IPv6
    handler = type("Monitor", (_Monitor,), {"loop": asyncio.get_running_loop(), "readiness": readiness})
    try:
        server = (_Server6 if ":" in host else _Server)((host, settings.metrics_port), handler)
    except OSError:
        raise OSError(f"cannot listen on {host}:{settings.metrics_port} for metrics: is the port taken?") from None
    threading.Thread(target=server.serve_forever, name="monitor", daemon=True).start()
    return server.server_port


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Binds, without asking a name server what this machine is called, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Monitor(MetricsHandler):
    loop: ClassVar[asyncio.AbstractEventLoop]
    readiness: ClassVar[Readiness]
    timeout = CLIENT_TIMEOUT_S

    def do_GET(self) -> None:  # noqa: N802 (the library names it)
        """Answers by path."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            super().do_GET()
        elif path == "/healthz":
            self._tell("alive", problem=self._ask(lambda: ""))
        elif path == "/readyz":
            self._tell("ready", problem=self._ask(lambda: ", ".join(self.readiness.failing())))
        else:
            self._answer(404, "There are /healthz, /readyz and /metrics.")

    def version_string(self) -> str:
        """Returns the Server header, which tells nothing of versions."""
        return "triptych"

    def _ask(self, question: Callable[[], str]) -> str:
        """Returns the event loop's answer, or that there is none."""
        answer: concurrent.futures.Future[str] = concurrent.futures.Future()
        try:
            self.loop.call_soon_threadsafe(lambda: answer.set_result(question()))
            return answer.result(LOOP_TIMEOUT_S)
        except (TimeoutError, RuntimeError):  # it hangs, or it is closed
            return HUNG

    def _tell(self, state: str, *, problem: str) -> None:
        self._answer(503 if problem else 200, f"not {state}: {problem}" if problem else state)

    def _answer(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
