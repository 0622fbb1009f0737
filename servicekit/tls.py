"""TLS: who a process is, whom it trusts, and how a new certificate comes into use without a restart.

Contexts and credentials are given out once and follow the files: each new connection takes what is current when it
begins, and those that are open go on.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import structlog

from servicekit.metrics import CERTIFICATE_EXPIRES
from servicekit.tls_files import Pem, TlsError, TlsFiles

log = structlog.get_logger()

INTERNAL, EDGE = "internal", "edge"
"""What a certificate is for: the processes of a cluster among themselves, or the gateway towards everybody."""
FOLLOW_INTERVAL_S = 1.0
HANDSHAKE_TIMEOUT_S = 5.0
"""For all of a handshake, however slowly it comes."""
SHUTDOWN_TIMEOUT_S = 1.0
"""For the other end to say goodbye."""
TIMEOUTS = {"ssl_handshake_timeout": HANDSHAKE_TIMEOUT_S, "ssl_shutdown_timeout": SHUTDOWN_TIMEOUT_S}


class Tls:
    """Is one certificate with its key and the authorities to trust, as the files have them now."""

    def __init__(self, use: str, files: TlsFiles, callers: Collection[str] = ()) -> None:
        """Reads the files.

        Args:
            use: what the certificate is for.
            files: where it is.
            callers: DNS names, one of which a caller's certificate must hold; none lets all in whom `files` trusts.

        Raises:
            TlsError: a file cannot be used.
        """
        self.callers = frozenset(name.lower() for name in callers)
        self._use = use
        self._files = files
        self._server = _Current(ssl.PROTOCOL_TLS_SERVER)
        self._client = _Current(ssl.PROTOCOL_TLS_CLIENT)
        self._refused: Pem | None = None
        self._problem = ""
        self._take(files.read())

    def listening(self) -> Mapping[str, Any]:
        """Returns the arguments with which an event loop's `create_server` serves TLS."""
        return {"ssl": self._server, **TIMEOUTS}

    def connecting(self, name: str) -> Mapping[str, Any]:
        """Returns the arguments with which `create_connection` connects to whoever has a certificate for `name`."""
        return {"ssl": self._client, "server_hostname": name, **TIMEOUTS}

    async def follow(self) -> None:
        """Looks again and again whether the files have changed, forever."""
        while True:
            await asyncio.sleep(FOLLOW_INTERVAL_S)
            self.refresh()

    def refresh(self) -> None:
        """Takes what the files hold into use; where it is broken, the old certificate stays, and the log says why."""
        problem = self._renew()
        if problem not in ("", self._problem):
            log.error("a new certificate is broken; the old one stays in use", use=self._use, problem=problem)
        self._problem = problem

    def _renew(self) -> str:
        """Takes the files into use if they have changed; returns what is wrong with them."""
        try:
            pem = self._files.read()
            if pem == self.pem:
                return ""
            if pem == self._refused:
                return self._problem
            self._refused = pem
            self._take(pem)
        except TlsError as error:
            return str(error)
        return ""

    def _take(self, pem: Pem) -> None:
        expiry = self._files.expiry(pem)
        try:
            server, client = _server_context(pem, self.callers, self._use), _client_context(pem)
        except (ssl.SSLError, ValueError) as error:  # what is PEM, and yet not to OpenSSL's taste
            raise self._files.certificate.error(
                f"OpenSSL refuses the certificate, key or authorities: {error}"
            ) from None
        self._server.current, self._client.current = server, client
        self.pem = pem
        CERTIFICATE_EXPIRES.labels(self._use).set(expiry)
        log.info("a certificate is in use", use=self._use, expires_unix_s=round(expiry))


@asynccontextmanager
async def following(use: str, files: TlsFiles | None, callers: Collection[str] = ()) -> AsyncIterator[Tls | None]:
    """Reads the files, if there are any, and follows them while the context is open.

    Raises:
        TlsError: a file cannot be used.
    """
    if files is None:
        yield None
        return
    tls = Tls(use, files, callers)
    task = asyncio.create_task(tls.follow())
    try:
        yield tls
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class _Current(ssl.SSLContext):
    """Is given to an event loop once, and hands each connection to the context of the moment.

    A context can take a new certificate itself, but it cannot forget an authority.
    """

    current: ssl.SSLContext

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Begins a connection; event loops call it for each."""
        return self.current.wrap_bio(*args, **kwargs)


class _ServerContext(ssl.SSLContext):
    """Is a server's context that knows whom it may let in."""

    callers: frozenset[str]
    use: str


class _Accepted(ssl.SSLObject):
    """Is a caller's connection: it says why a handshake fails, and ends that of a caller who is not allowed."""

    def do_handshake(self) -> None:
        """Goes on with the handshake; event loops call it whenever something came.

        Raises:
            SSLError: it failed, or, as SSLWantReadError, is not over.
        """
        try:
            super().do_handshake()
            self._check_caller()
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError as error:
            problem = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
            log.warning("a connection is refused", use=getattr(self.context, "use", ""), problem=problem)
            raise

    def _check_caller(self) -> None:
        callers = getattr(self.context, "callers", None)
        if not callers:
            return
        names = dns_names(self.getpeercert() or {})
        if not callers & names:
            text = f"its certificate is for {', '.join(sorted(names)) or 'no name'}, which is no allowed caller"
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, text)


def dns_names(certificate: Mapping[str, Any]) -> frozenset[str]:
    """Returns the DNS names of a certificate, as `SSLObject.getpeercert` tells it."""
    return frozenset(value.lower() for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS")


def _server_context(pem: Pem, callers: frozenset[str], use: str) -> ssl.SSLContext:
    context = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _Accepted
    context.callers, context.use = callers, use
    _identify(context, pem)
    if pem.authorities:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _client_context(pem: Pem) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _identify(context, pem)
    return context


def _identify(context: ssl.SSLContext, pem: Pem) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with _as_file(pem.certificate) as certificate, _as_file(pem.key) as key:
        context.load_cert_chain(certificate, key)
    if pem.authorities:
        context.load_verify_locations(cadata=pem.authorities.decode("ascii", "ignore"))


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Yields a path under which these very bytes are found: OpenSSL reads files only, and those may have changed."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
