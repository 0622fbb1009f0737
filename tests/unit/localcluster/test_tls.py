"""TLS in a local cluster: what the environment says decides how Triton is started and how processes are asked."""

from pathlib import Path

import pytest
import trustme
from fakes.certificates import HERE, Folder

from localcluster.tls import LocalTls, edge_wanted


def test_without_variables_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster speaks plain text unless it is told otherwise."""
    monkeypatch.delenv("TRIPTYCH_TLS_CERT_FILE", raising=False)

    assert (None, False) == (LocalTls.wanted(), edge_wanted())


def test_triton_is_told_the_same_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows the cluster's certificate, and asks every caller for one."""
    for name in ("CERT", "KEY", "CA"):
        monkeypatch.setenv(f"TRIPTYCH_TLS_{name}_FILE", f"/tls/{name}")
    wanted = LocalTls.wanted()

    assert wanted is not None
    assert [
        "--grpc-use-ssl=true",
        "--grpc-use-ssl-mutual=true",
        "--grpc-server-cert=/tls/CERT",
        "--grpc-server-key=/tls/KEY",
        "--grpc-root-cert=/tls/CA",
    ] == wanted.triton_flags()


def test_half_of_it_is_left_to_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """They end with a sentence that names the variable that lacks."""
    monkeypatch.setenv("TRIPTYCH_TLS_CERT_FILE", "/tls/cert")

    assert LocalTls.wanted() is None


def test_the_edge_is_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway may speak TLS while the processes among themselves do not."""
    monkeypatch.setenv("TRIPTYCH_EDGE_TLS_CERT_FILE", "/tls/cert")

    assert (None, True) == (LocalTls.wanted(), edge_wanted())


def test_the_supervisor_shows_the_certificate_too(tmp_path: Path) -> None:
    """What it opens channels with is read from the files."""
    authority = trustme.CA()
    folder = Folder(tmp_path).put(authority.issue_cert(*HERE), authority)
    tls = LocalTls(str(folder.certificate), str(folder.key), str(folder.authorities))

    assert tls.credentials() is not None
    folder.key.unlink()
    with pytest.raises(FileNotFoundError):
        tls.credentials()
