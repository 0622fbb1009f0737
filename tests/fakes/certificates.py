"""An authority of a test's own, the certificates it gives, and where a test puts them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme

from servicekit.tls import INTERNAL, Tls
from servicekit.tls_files import PemFile, TlsFiles

HERE = ("127.0.0.1", "localhost")
"""Names of servers in tests."""


class Folder:
    """Is a folder with a certificate, a key and authorities, as Kubernetes mounts them."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.certificate, self.key, self.authorities = path / "tls.crt", path / "tls.key", path / "ca.crt"

    def put(self, issued: trustme.LeafCert, *trusted: trustme.CA) -> "Folder":
        """Writes a certificate and whom to trust; each file changes at once, as a rename does it."""
        _replace(self.key, issued.private_key_pem.bytes())
        _replace(self.certificate, b"".join(each.bytes() for each in issued.cert_chain_pems))
        _replace(self.authorities, b"".join(each.cert_pem.bytes() for each in trusted))
        return self

    @property
    def files(self) -> TlsFiles:
        """Returns them as settings would name them."""
        return TlsFiles(
            PemFile("TRIPTYCH_TLS_CERT_FILE", self.certificate),
            PemFile("TRIPTYCH_TLS_KEY_FILE", self.key),
            PemFile("TRIPTYCH_TLS_CA_FILE", self.authorities),
        )

    def settings(self) -> dict[str, Any]:
        """Returns the settings for TLS between processes."""
        return {"tls_cert_file": self.certificate, "tls_key_file": self.key, "tls_ca_file": self.authorities}

    def edge_settings(self, *, clients: bool = False) -> dict[str, Any]:
        """Returns the settings for TLS towards callers; `clients` have to show certificates."""
        asked = {"edge_tls_client_ca_file": self.authorities} if clients else {}
        return {"edge_tls_cert_file": self.certificate, "edge_tls_key_file": self.key, **asked}

    def tls(self, *callers: str) -> Tls:
        """Takes them into use, once."""
        return Tls(INTERNAL, self.files, callers)


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def expired(authority: trustme.CA, *names: str) -> trustme.LeafCert:
    """Gives a certificate that ended yesterday."""
    now = datetime.now(UTC)
    return authority.issue_cert(*names, not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))


class _Usual:
    tls: Tls | None = None
    settings: Mapping[str, Any] = {}


USUAL = _Usual()
"""What servers, channels and processes of tests take where a test does not say."""


@contextmanager
def usually(folder: Folder) -> Iterator[None]:
    """Has the servers and channels of a test use TLS while the context is open."""
    USUAL.tls, USUAL.settings = folder.tls(), folder.settings()
    try:
        yield
    finally:
        USUAL.tls, USUAL.settings = None, {}
