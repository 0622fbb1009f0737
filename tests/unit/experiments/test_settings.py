"""Where experiments are kept."""

from pathlib import Path

import pytest

from servicekit.settings import SettingsError
from services.experiments.settings import ExperimentsSettings


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_DATA_DIR", "/data")


@pytest.mark.parametrize("url", [None, ""])
def test_by_default_the_database_lies_beside_the_journal(url: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the variable is set to nothing."""
    if url is not None:
        monkeypatch.setenv("TRIPTYCH_DATABASE_URL", url)
    settings = ExperimentsSettings.load()
    assert (Path("/data"), "sqlite:////data/experiments.db") == (settings.data_dir, settings.database)


def test_a_database_is_used_and_its_password_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in what is logged at the start, nor where the URL is wrong."""
    url = "postgresql://user:hush@host/name"
    monkeypatch.setenv("TRIPTYCH_DATABASE_URL", url)
    settings = ExperimentsSettings.load()
    assert url == settings.database
    assert "hush" not in str(settings.describe())

    monkeypatch.setenv("TRIPTYCH_DATABASE_URL", "mysql://user:hush@host/name")
    with pytest.raises(SettingsError, match="TRIPTYCH_DATABASE_URL: ") as caught:
        ExperimentsSettings.load()
    assert "hush" not in str(caught.value)
