"""Serves the page to this machine's browser, and to nobody else.

Every address begins with a secret that only the printed link holds, so neither another user of the machine nor another
page in the browser can ask anything. Hosts are checked against rebound names, origins against cross-site requests.
No address is ever a path on the disk: pictures are found by id among those of the session.
"""

import hmac
import json
import secrets
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

from modelkit.data.labelling.session import Session
from modelkit.data.labelling.spool import Spool
from modelkit.data.records import DataError

MAX_BODY_BYTES = 4096
_POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; script-src 'nonce-{nonce}'; "
    "style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class LabelServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1 until the page says that it is finished."""

    daemon_threads = True

    def __init__(self, session: Session, spool: Spool, port: int = 0) -> None:
        """Binds the port, 0 for a free one.

        Raises:
            DataError: the port is taken.
        """
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise DataError(f"--port {port} cannot be listened on: {error}") from error
        self.session, self.spool = session, spool
        self.key, self.nonce = secrets.token_urlsafe(24), secrets.token_urlsafe(16)
        self.finished = False
        page = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
        self.page = page.replace("NONCE", self.nonce).encode()

    @property
    def hosts(self) -> set[str]:
        """Names under which the page may be asked for."""
        return {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}

    @property
    def url(self) -> str:
        """Link for the browser."""
        return f"http://127.0.0.1:{self.server_port}/{self.key}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a browser that went away."""


class _Handler(BaseHTTPRequestHandler):
    server: LabelServer
    protocol_version = "HTTP/1.1"
    timeout = 60
    server_version, sys_version = "triptych", ""

    def do_GET(self) -> None:
        """Answers with the page, the queue or a picture."""
        place = self._place()
        if place == "":
            self._send(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif place == "queue":
            self._send_json(HTTPStatus.OK, self.server.session.overview())
        elif place is not None and place.startswith("image/"):
            found = self.server.spool.read(place.removeprefix("image/"))
            self._send(HTTPStatus.OK, *found) if found else self._refuse(HTTPStatus.NOT_FOUND, "no such image")
        elif place is not None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    def do_POST(self) -> None:
        """Takes a label, or the word that all is done."""
        self.close_connection = True
        actions: dict[str, Callable[[Any], None]] = {"label": self._label, "finish": self._finish}
        place = self._place()
        if place is None:
            return
        if place not in actions:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")
        elif (body := self._body()) is not None:
            actions[place](body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the library's name
        """Says nothing: the terminal is the person's."""

    def _place(self) -> str | None:
        """Returns the address below the secret; refuses whoever does not know it, or asks from elsewhere."""
        key, _, place = self.path.partition("?")[0].removeprefix("/").partition("/")
        hosts, host = self.server.hosts, self.headers.get("Host")
        at_home = host in hosts
        same_page = self.headers.get("Origin", f"http://{host}") in {f"http://{each}" for each in hosts}
        same_site = self.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none")
        if at_home and same_page and same_site and hmac.compare_digest(key.encode(), self.server.key.encode()):
            return place
        self.close_connection = True
        self._refuse(HTTPStatus.FORBIDDEN, "open the link that the terminal shows")
        return None

    def _body(self) -> Any | None:
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json" or not length.isdecimal():
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json and say its length")
        elif int(length) > MAX_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body may have {MAX_BODY_BYTES} bytes")
        else:
            try:
                return json.loads(self.rfile.read(int(length)))
            except (ValueError, RecursionError):
                self._refuse(HTTPStatus.BAD_REQUEST, "the body is no JSON")
        return None

    def _label(self, body: Any) -> None:
        image, label = (body.get("image"), body.get("label")) if isinstance(body, dict) else (None, None)
        if not isinstance(image, str) or not isinstance(label, str):
            self._refuse(HTTPStatus.BAD_REQUEST, "image and label must be texts")
            return
        try:
            self.server.session.answer(image, label)
        except DataError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except OSError as error:
            self._refuse(HTTPStatus.INSUFFICIENT_STORAGE, f"the label file cannot be written: {error}")
        else:
            self._send_json(HTTPStatus.OK, {"saved": True})

    def _finish(self, _: Any) -> None:
        self._send_json(HTTPStatus.OK, {"finished": True})
        self.server.finished = True
        self.server.shutdown()  # this is a thread of its own

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._send_json(status, {"error": why})

    def _send_json(self, status: HTTPStatus, content: Any) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "Content-Security-Policy": _POLICY.format(nonce=self.server.nonce),
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
