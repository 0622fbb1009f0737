"""`triptych tune` and what `triptych up` makes of its file."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from localcluster.default_model import default_model
from localcluster.machine import Machine, this_machine
from localcluster.options import MODEL_REPOSITORY, UpOptions
from localcluster.tuned_file import Tuned, read, write
from localcluster.tuning import Duel, Measured, Outcome
from triptych.cli.__main__ import app
from triptych.cli.tune_report import verdict
from triptych.cli.tuned import keep, tuned_settings

pytestmark = pytest.mark.unit

SETTINGS = {"OPENVINO_THREADS": "2", "TRIPTYCH_MAX_MESSAGES": "3"}


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the path of the tuned file of a user with a home of his own, whose environment sets nothing."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TRIPTYCH_STATE_DIR", str(tmp_path / "state"))
    for variable in SETTINGS:
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "config" / "triptych" / "tuned.env"


def _tuned(machine: Machine) -> Tuned:
    return Tuned(SETTINGS, machine, default_model(MODEL_REPOSITORY, ""), date(2026, 11, 23), "")


def _run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def test_up_starts_with_the_settings_and_says_so(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line names the day and the settings."""
    write(file, _tuned(this_machine()))
    assert SETTINGS == tuned_settings(UpOptions(tmp_path))
    assert "With settings tuned on 2026-11-23: OPENVINO_THREADS=2 TRIPTYCH_MAX_MESSAGES=3.\n" == capsys.readouterr().err


def test_the_environment_wins_and_up_says_so(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that the user sets is not told as tuned."""
    write(file, _tuned(this_machine()))
    monkeypatch.setenv("OPENVINO_THREADS", "1")
    tuned_settings(UpOptions(tmp_path))
    expected = "With settings tuned on 2026-11-23: TRIPTYCH_MAX_MESSAGES=3; your environment sets OPENVINO_THREADS.\n"
    assert expected == capsys.readouterr().err


def test_settings_of_another_machine_are_left_out_with_a_warning(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A home that several machines share does no harm."""
    write(file, _tuned(Machine("Another CPU", 96)))
    assert {} == tuned_settings(UpOptions(tmp_path))
    assert f"Without the settings in {file}: they are for another machine (Another CPU, 96 cores; this is " in (
        capsys.readouterr().err
    )


def test_settings_for_another_model_are_left_out_with_a_warning(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is best for one model is not for another; one line names both, and what to do."""
    write(file, replace(_tuned(this_machine()), model="small"))
    assert {} == tuned_settings(UpOptions(tmp_path, model="large"))
    why = "they are for another model (small; this is large); `triptych tune` finds new ones"
    assert f"Without the settings in {file}: {why}.\n" == capsys.readouterr().err


def test_settings_for_other_processes_are_left_out(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """More replicas get a warning; a co-located cluster has a file of its own, and here none."""
    write(file, _tuned(this_machine()))
    assert {} == tuned_settings(UpOptions(tmp_path, replicas={"preprocess": 2}))
    assert "they are for one replica of each service" in capsys.readouterr().err
    assert {} == tuned_settings(UpOptions(tmp_path, colocated=True))
    assert "" == capsys.readouterr().err


def test_up_refuses_a_wrong_line(file: Path) -> None:
    """`up` ends with 1, and names file and line, before anything starts."""
    file.parent.mkdir(parents=True)
    file.write_text("TRIPTYCH_PORT=1\n")
    result = _run("up")
    assert (1, True) == (result.exit_code, f"error: {file}, line 1: 'TRIPTYCH_PORT' is none of" in result.stderr)


def test_up_ignores_the_file_when_told_to(file: Path, tmp_path: Path) -> None:
    """With `--no-tuned` the wrong line is not even read: `up` fails over what is wrong elsewhere."""
    file.parent.mkdir(parents=True)
    file.write_text("TRIPTYCH_PORT=1\n")
    result = _run("up", "--no-tuned", "--model-repository", str(tmp_path / "empty"))
    assert (1, True) == (result.exit_code, "holds no model" in result.stderr)


def test_a_missing_image_is_told(tmp_path: Path) -> None:
    """`tune` starts nothing without its image."""
    result = _run("tune", "--image", str(tmp_path / "none.jpg"))
    assert (1, True) == (result.exit_code, "none.jpg" in result.stderr)


def _duel(candidate: dict[str, int], images_per_s: float) -> Duel:
    return Duel({}, candidate, ((Measured(200, 80), Measured(images_per_s, 70)),) * 3)


FAST = _duel({"OPENVINO_THREADS": 4}, 220)
BETTER = Outcome(Measured(200, 80), (FAST,), {"OPENVINO_THREADS": 4}, FAST, ())
NOT_BETTER = {
    "slower": Outcome(Measured(200, 80), (_duel({"A": 1}, 150),), {}, None, ()),
    "failed": Outcome(Measured(200, 80), (Duel({}, {"A": 1}, (), "broken"),), {}, None, ()),
    "noisy": replace(BETTER, defaults=Measured(100, 80)),
}
"""Outcomes that prove nothing better than the defaults."""


def test_what_is_proven_is_kept(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings that beat the defaults take the place of others; the file says for which model and machine."""
    write(file, _tuned(Machine("Another CPU", 96)))
    keep(BETTER, UpOptions(tmp_path, model="large"))
    kept = read(file)
    assert kept is not None
    assert ({"OPENVINO_THREADS": "4"}, this_machine(), "large") == (kept.settings, kept.machine, kept.model)
    assert f"Written to {file}: `triptych up` starts with these settings.\n" == capsys.readouterr().out


@pytest.mark.parametrize("name", NOT_BETTER)
def test_what_is_not_proven_replaces_nothing(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """After trials that were slower, failed or too noisy a file of before stays as it is, and `tune` says so."""
    write(file, _tuned(this_machine()))
    keep(NOT_BETTER[name], UpOptions(tmp_path))
    assert _tuned(this_machine()) == read(file)
    said = f"Nothing is proven better than the defaults: {file} stays as it is.\n"
    assert said == capsys.readouterr().out


@pytest.mark.parametrize("before", ["", "nonsense\n"])
@pytest.mark.parametrize("name", NOT_BETTER)
def test_without_a_sound_file_the_defaults_are_written(file: Path, tmp_path: Path, name: str, before: str) -> None:
    """Where there is no file, or one that `up` refuses, the same trials leave one that sets nothing."""
    if before:
        file.parent.mkdir(parents=True)
        file.write_text(before)
    keep(NOT_BETTER[name], UpOptions(tmp_path))
    kept = read(file)
    assert kept is not None
    assert {} == kept.settings


def test_the_verdict_is_honest() -> None:
    """It names the gain over the defaults, says when they are best, and claims nothing that was not measured."""
    slow, fast = _duel({"A": 1}, 150), _duel({"A": 3}, 220)
    defaults = Measured(200, 80)
    assert "Best: A=3: 220 images/s, the defaults 200 (+10.0% in the middle of 3 pairs)." == verdict(
        Outcome(defaults, (fast,), {"A": 3}, fast, ())
    )
    best = "The defaults are best: nothing that was tried is faster by more than 3%."
    assert best == verdict(Outcome(defaults, (slow,), {}, None, ()))
    assert f"{best} A=3 seemed to be, but was not when measured again." == verdict(
        Outcome(defaults, (fast,), {}, _duel({"A": 3}, 199), ())
    )
    assert f"{best} A=3 seemed to be, but could not be measured again." == verdict(
        Outcome(defaults, (fast,), {}, Duel({}, {"A": 3}, (), "broken"), ())
    )
    assert "Nothing but the defaults could be measured." == verdict(NOT_BETTER["failed"])
    assert verdict(NOT_BETTER["noisy"]).startswith("Nothing is proven: the defaults alone did between 100 and 200 ")
    assert "Only the defaults were measured." == verdict(Outcome(defaults, (), {}, None, ("A",)))
