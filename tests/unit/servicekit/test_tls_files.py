"""Files with certificates: what is wrong with them is told by variable, and a broken new one changes nothing."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from fakes.certificates import Folder
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from gateway.settings import GatewaySettings
from servicekit.settings import ProcessSettings, ServiceSettings, SettingsError
from servicekit.tls_files import TlsError


@pytest.fixture
def authority() -> trustme.CA:
    """Whom everybody trusts."""
    return trustme.CA()


@pytest.fixture
def folder(tmp_path: Path, authority: trustme.CA) -> Folder:
    """A certificate in files."""
    return Folder(tmp_path).put(authority.issue_cert("preprocess"), authority)


def _encrypt(folder: Folder) -> None:
    key = load_pem_private_key(folder.key.read_bytes(), None)
    folder.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a password")))


def _make_folder(folder: Folder) -> None:
    folder.key.unlink()
    folder.key.mkdir()


BROKEN: dict[str, tuple[Callable[[Folder], object], str]] = {
    "no certificate": (
        lambda folder: folder.certificate.unlink(),
        r"^TRIPTYCH_TLS_CERT_FILE: .*/tls\.crt cannot be read: No such file",
    ),
    "no key": (lambda folder: folder.key.unlink(), r"^TRIPTYCH_TLS_KEY_FILE: .* cannot be read: No such file"),
    "no authorities": (
        lambda folder: folder.authorities.unlink(),
        r"^TRIPTYCH_TLS_CA_FILE: .* cannot be read: No such file",
    ),
    "an unreadable file": (
        _make_folder,
        r"^TRIPTYCH_TLS_KEY_FILE: .* cannot be read: Is a directory",
    ),
    "an empty certificate": (
        lambda folder: folder.certificate.write_bytes(b""),
        r"^TRIPTYCH_TLS_CERT_FILE: .* holds no certificate in PEM",
    ),
    "half a certificate": (
        lambda folder: folder.certificate.write_bytes(folder.certificate.read_bytes()[:200]),
        r"^TRIPTYCH_TLS_CERT_FILE: .* holds no certificate in PEM",
    ),
    "a key that is none": (
        lambda folder: folder.key.write_bytes(b"secret words"),
        r"^TRIPTYCH_TLS_KEY_FILE: .* holds no private key in PEM without a password",
    ),
    "a key with a password": (_encrypt, r"^TRIPTYCH_TLS_KEY_FILE: .* holds no private key in PEM without a password"),
    "another's key": (
        lambda folder: folder.key.write_bytes(trustme.CA().issue_cert("other").private_key_pem.bytes()),
        r"^TRIPTYCH_TLS_KEY_FILE: .* is not the key of the certificate in .*/tls\.crt",
    ),
    "empty authorities": (
        lambda folder: folder.authorities.write_bytes(b"# none yet\n"),
        r"^TRIPTYCH_TLS_CA_FILE: .* holds no certificate in PEM",
    ),
}


@pytest.mark.parametrize(("destroy", "words"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_told_by_the_variable(folder: Folder, destroy: Callable[[Folder], object], words: str) -> None:
    """The sentence begins with the variable, and holds nothing of what the file does."""
    destroy(folder)

    with pytest.raises(TlsError, match=words) as caught:
        folder.tls()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("destroy", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_new_file_changes_nothing(folder: Folder, destroy: Callable[[Folder], object], words: str) -> None:
    """The certificate that is in use stays, and the log says why, once."""
    tls = folder.tls()
    before = tls.pem
    destroy(folder)
    with capture_logs() as lines:
        tls.refresh()
        tls.refresh()

    assert before is tls.pem
    assert ["a new certificate is broken; the old one stays in use"] == [line["event"] for line in lines]


def test_a_certificate_that_was_broken_for_a_while_is_taken(folder: Folder, authority: trustme.CA) -> None:
    """As soon as key and certificate belong together again, the new one is in use."""
    tls = folder.tls()
    renewed = authority.issue_cert("preprocess")
    folder.key.write_bytes(renewed.private_key_pem.bytes())
    tls.refresh()
    folder.put(renewed, authority)
    tls.refresh()

    assert renewed.private_key_pem.bytes() == tls.pem.key


def test_files_that_stay_as_they_are_are_not_taken_again(folder: Folder) -> None:
    """A look at them logs nothing."""
    tls = folder.tls()
    with capture_logs() as lines:
        tls.refresh()

    assert [] == lines


def test_a_folder_that_kubernetes_swaps_is_followed(tmp_path: Path, authority: trustme.CA) -> None:
    """The files are links into a folder behind a link, and that one is replaced."""
    Folder(tmp_path / "..1").put(authority.issue_cert("preprocess"), authority)
    (tmp_path / "..data").symlink_to("..1")
    for name in ("tls.crt", "tls.key", "ca.crt"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    tls = Folder(tmp_path).tls()
    renewed = authority.issue_cert("preprocess")
    Folder(tmp_path / "..2").put(renewed, authority)
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    tls.refresh()

    assert renewed.private_key_pem.bytes() == tls.pem.key


def test_a_gauge_says_when_the_certificate_ends(folder: Folder, authority: trustme.CA) -> None:
    """It is that of the certificate in use, in Unix time."""
    tls = folder.tls()
    folder.put(authority.issue_cert("preprocess", not_after=datetime(2040, 1, 1, tzinfo=UTC)), authority)
    tls.refresh()
    name = "triptych_certificate_expires_timestamp_seconds"

    assert datetime(2040, 1, 1, tzinfo=UTC).timestamp() == REGISTRY.get_sample_value(name, {"certificate": "internal"})


@pytest.mark.parametrize("given", [("CERT",), ("CERT", "KEY"), ("CA",), ("KEY", "CA")])
def test_half_of_tls_is_refused(monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...]) -> None:
    """Certificate, key and authorities are set together, and the variable that lacks is named."""
    for name in given:
        monkeypatch.setenv(f"TRIPTYCH_TLS_{name}_FILE", "/etc/triptych/tls/x")
    lacking = next(name for name in ("CERT", "KEY", "CA") if name not in given)

    with pytest.raises(SettingsError, match=f"belong together; TRIPTYCH_TLS_{lacking}_FILE is not set$"):
        ProcessSettings.load()


@pytest.mark.parametrize("name", ["CERT", "KEY", "CLIENT_CA"])
def test_half_of_tls_at_the_edge_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A certificate needs its key, and whoever asks clients for theirs needs one."""
    for stage in ("PREPROCESS", "INFERENCE", "POSTPROCESS"):
        monkeypatch.setenv(f"TRIPTYCH_{stage}_TARGET", "link:///x:1")
    monkeypatch.setenv(f"TRIPTYCH_EDGE_TLS_{name}_FILE", "/etc/triptych/tls/x")

    with pytest.raises(SettingsError, match="TRIPTYCH_EDGE_TLS_CERT_FILE"):
        GatewaySettings.load()


def test_no_tls_is_the_default() -> None:
    """Without variables there is nothing to read."""
    assert ProcessSettings.load().tls_files is None


def test_the_allowed_callers_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are separated by commas; blanks do not count."""
    monkeypatch.setenv("TRIPTYCH_TLS_ALLOWED_CALLERS", "gateway, gateway.default.svc,")

    assert ("gateway", "gateway.default.svc") == ServiceSettings.load().tls_allowed_callers


def test_without_tls_nothing_reads_certificates() -> None:
    """What a process imports loads no cryptography."""
    program = "import sys, servicekit.server, gateway.service; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "False" == done.stdout.strip()
