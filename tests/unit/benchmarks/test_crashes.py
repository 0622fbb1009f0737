"""The options of the test of crashes."""

from pathlib import Path

import pytest

from benchmarks import crashes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--kills 3 --outage 5", "not allowed with argument"),
        ("--outage 5 --disk-full", "not allowed with argument"),
        ("--outage 5 --database both", "--database both does not go with it"),
        ("--outage 0", "0 is not above 0"),
        ("--kills -1", "-1 is not above 0"),
        ("--clients 0", "0 is not above 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is started, and by name."""
    with pytest.raises(SystemExit) as caught:
        crashes.main(arguments.split())
    assert 2 == caught.value.code
    assert said in capsys.readouterr().err


def test_who_cannot_mount_a_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And gets another exit status than one for whom something is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert 2 == crashes.main(["--disk-full", "--database", "sqlite"])
    assert "crashes: a small disk cannot be mounted" in capsys.readouterr().err
