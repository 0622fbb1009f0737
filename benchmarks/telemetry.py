"""Measures what telemetry costs: `python -m benchmarks.telemetry --rounds 10`.

Five clusters run at the same time and take turns under a closed loop, in another order in each round, so that what else
the machine does meets all alike: without telemetry, tracing every hundredth request, tracing every one, without tracing
but with a log line for each RPC, and as chart and compose run it once they are told of a collector. The collector is a
process that reads what it gets and throws it away.
"""

import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection

from benchmarks.turns import Shape, arguments, compare
from servicekit.settings import ProcessSettings, variable

OFF = "off"


def variables(collector: str) -> dict[str, dict[str, str]]:
    """Returns the environment of each variant."""
    traced = {"TRIPTYCH_OTLP_ENDPOINT": collector}
    return {
        OFF: {},
        "1 % traced": {**traced, "TRIPTYCH_TRACE_SAMPLE_RATIO": "0.01"},
        "all traced": {**traced, "TRIPTYCH_TRACE_SAMPLE_RATIO": "1"},
        "request log": {"TRIPTYCH_REQUEST_LOG": "true"},
        "as shipped": {**traced, **defaults("request_log", "trace_sample_ratio")},
    }


def defaults(*names: str) -> dict[str, str]:
    """Returns the settings' own values, which neither chart nor compose changes."""
    return {variable(name): str(ProcessSettings.model_fields[name].default) for name in names}


class _Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _collect(port: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    port.send(server.server_port)
    server.serve_forever()


@contextmanager
def collecting() -> Iterator[str]:
    """Runs a collector while the context is open, and yields its address."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_collect, args=(there,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


def main() -> int:
    """Measures and prints. Returns 1 when an answer was wrong or missing."""
    options = arguments(__doc__).parse_args()
    with collecting() as collector:
        return compare({name: Shape(variables=own) for name, own in variables(collector).items()}, options)


if __name__ == "__main__":
    sys.exit(main())
