"""The experiments service's settings say where the database is, and never tell its password."""

from pathlib import Path

import pytest

from servicekit.settings import SettingsError
from services.experiments.settings import ExperimentsSettings

URL = "postgresql://triptych:sesame@host/experiments"


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIPTYCH_DATA_DIR", str(tmp_path))


def test_the_default_is_a_file_in_the_folder(tmp_path: Path) -> None:
    """Without a word the database is SQLite, beside the journal."""
    assert f"sqlite:///{tmp_path / 'experiments.db'}" == ExperimentsSettings.load().database


@pytest.mark.parametrize("name", ["TRIPTYCH_DATABASE_URL", "TRIPTYCH_DATABASE_URL_FILE"])
def test_empty_is_unset(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A variable of no letters, as compose makes of one that is not set, changes nothing."""
    monkeypatch.setenv(name, "")

    assert ExperimentsSettings.load().database.startswith("sqlite:")


def test_a_file_holds_the_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The URL may come from a file, with or without the end of its line."""
    (tmp_path / "url").write_text(f"{URL}\n")
    monkeypatch.setenv("TRIPTYCH_DATABASE_URL_FILE", str(tmp_path / "url"))
    loaded = ExperimentsSettings.load()

    assert URL == loaded.database
    assert "sesame" not in str(loaded.describe())


def test_both_are_one_too_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Which of two URLs holds is not for us to guess."""
    monkeypatch.setenv("TRIPTYCH_DATABASE_URL", URL)
    monkeypatch.setenv("TRIPTYCH_DATABASE_URL_FILE", str(tmp_path / "url"))

    with pytest.raises(SettingsError, match=r"TRIPTYCH_DATABASE_URL and TRIPTYCH_DATABASE_URL_FILE exclude each other"):
        ExperimentsSettings.load()


def test_a_file_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The process ends with the name of the variable."""
    monkeypatch.setenv("TRIPTYCH_DATABASE_URL_FILE", str(tmp_path / "lost"))

    with pytest.raises(SettingsError, match=r"TRIPTYCH_DATABASE_URL_FILE cannot be read: No such file"):
        ExperimentsSettings.load()


@pytest.mark.parametrize("variable", ["TRIPTYCH_DATABASE_URL", "TRIPTYCH_DATABASE_URL_FILE"])
def test_a_refusal_does_not_tell_the_password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str) -> None:
    """A URL of another database is refused without being repeated, wherever it stands."""
    wrong = "mysql://triptych:sesame@host/experiments"
    (tmp_path / "url").write_text(wrong)
    monkeypatch.setenv(variable, str(tmp_path / "url") if variable.endswith("_FILE") else wrong)

    with pytest.raises(SettingsError, match=r"^TRIPTYCH_DATABASE_URL: .*postgresql://") as refused:
        ExperimentsSettings.load()
    assert "sesame" not in str(refused.value)
