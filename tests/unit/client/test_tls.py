"""TLS of the client: when it is used, and what is wrong with its files."""

from pathlib import Path

import pytest
import trustme
from fakes.certificates import Folder
from typer.testing import CliRunner

from triptych import Client, Tls
from triptych.cli.__main__ import app
from triptych.client.tls import credentials


@pytest.mark.parametrize(
    ("address", "tls", "secured"),
    [
        ("localhost:8081", None, False),
        ("https://localhost:8081", None, True),
        ("localhost:8081", Tls(), True),
        ("https://localhost:8081", Tls(), True),
    ],
)
def test_an_address_or_an_argument_asks_for_tls(address: str, tls: Tls | None, secured: bool) -> None:
    """Either is enough, and nothing else does."""
    assert secured is (credentials(address, tls) is not None)


@pytest.mark.parametrize("given", [{"cert_file": "tls.crt"}, {"key_file": "tls.key"}])
def test_a_certificate_needs_its_key(given: dict[str, str]) -> None:
    """Half of the two is refused before anything is read."""
    with pytest.raises(ValueError, match="belong together"):
        Tls(**given)


def test_a_file_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    """The client does not wait for the first call."""
    with pytest.raises(FileNotFoundError):
        Client("localhost:8081", tls=Tls(ca_file=tmp_path / "no-such-file"))


def test_all_files_may_be_given(tmp_path: Path) -> None:
    """Authorities to trust and a certificate to show."""
    authority = trustme.CA()
    folder = Folder(tmp_path).put(authority.issue_cert("somebody"), authority)
    with Client("localhost:8081", tls=Tls(folder.authorities, folder.certificate, folder.key)) as client:
        assert "Client('localhost:8081')" == repr(client)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--cert-file", "tls.crt"), "belong together"),
        (("--ca-file", "no-such-file"), "no-such-file cannot be read"),
    ],
)
@pytest.mark.parametrize("command", [("classify", "photo.jpg"), ("models",)], ids=["classify", "models"])
def test_wrong_options_are_wrong_usage(
    tmp_path: Path, command: tuple[str, ...], words: tuple[str, str], said: str
) -> None:
    """The command ends with 2 and says which file or option is at fault."""
    photograph = tmp_path / "photo.jpg"
    photograph.write_bytes(b"x")
    place = ("--state-dir", str(tmp_path / "state"))
    asked = [str(photograph) if word == "photo.jpg" else word for word in command]
    result = CliRunner().invoke(app, [*asked, *words, *place])

    assert (2, True) == (result.exit_code, said in result.stderr.replace("\n", " "))
