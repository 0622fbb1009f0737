"""The file of tuned settings: it comes back as written, and says what is wrong with it."""

from datetime import date
from pathlib import Path

import pytest

from localcluster.machine import Machine, this_machine
from localcluster.tuned_file import Tuned, TunedFileError, read, tuned_path, write

pytestmark = pytest.mark.unit

TUNED = Tuned(
    {"OPENVINO_THREADS": "2", "TRIPTYCH_MAX_MESSAGES": "3"},
    Machine("Some CPU", 4),
    "some_model",
    date(2026, 11, 23),
    "best: 7 images/s",
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Settings, machine, model, day and remark survive, in a folder that was not there."""
    path = tuned_path(tmp_path / "new", colocated=False)
    write(path, TUNED)
    assert TUNED == read(path)
    assert [path] == list(path.parent.iterdir())


def test_people_can_read_it(tmp_path: Path) -> None:
    """It is lines of `KEY=value` below comments with day, machine, model and worth."""
    lines = TUNED.text().splitlines()
    assert ["OPENVINO_THREADS=2", "TRIPTYCH_MAX_MESSAGES=3"] == [line for line in lines if not line.startswith("#")]
    facts = ["# date: 2026-11-23", "# cpu: Some CPU", "# cores: 4", "# model: some_model"]
    assert [*facts, "# measured: best: 7 images/s"] == lines[2:7]


def test_the_defaults_are_settings_too(tmp_path: Path) -> None:
    """Where the defaults are best the file sets nothing."""
    none = Tuned({}, TUNED.machine, TUNED.model, TUNED.day, TUNED.measured)
    write(tmp_path / "tuned.env", none)
    assert none == read(tmp_path / "tuned.env")


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    """A machine that was never tuned is no fault."""
    assert read(tmp_path / "tuned.env") is None


def test_each_mode_has_its_file(tmp_path: Path) -> None:
    """What is best with services apart is not used for one process, nor the other way round."""
    assert tuned_path(tmp_path, colocated=True) != tuned_path(tmp_path, colocated=False)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("TRIPTYCH_PORT=1", "line 8: 'TRIPTYCH_PORT' is none of "),
        ("nonsense", "line 8: 'nonsense' is none of "),
        ("OPENVINO_THREADS=many", "line 8: OPENVINO_THREADS wants a number of at least 1, not 'many'"),
        ("OPENVINO_THREADS=0", "line 8: OPENVINO_THREADS wants a number of at least 1, not '0'"),
        ("OPENVINO_THREADS", "line 8: OPENVINO_THREADS wants a number of at least 1, not ''"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    """A variable that is not tuned, or a value that is no number, is refused with file and line."""
    path = tmp_path / "tuned.env"
    path.write_text("\n".join([*TUNED.text().splitlines()[:7], line]))
    with pytest.raises(TunedFileError) as refusal:
        read(path)
    assert str(refusal.value).startswith(f"{path}, {said}")


@pytest.mark.parametrize("lost", ["# date", "# cpu", "# cores", "# model"])
def test_a_file_about_nothing_is_refused(tmp_path: Path, lost: str) -> None:
    """Without its facts nobody knows where the settings are best."""
    path = tmp_path / "tuned.env"
    path.write_text("\n".join(line for line in TUNED.text().splitlines() if not line.startswith(lost)))
    with pytest.raises(TunedFileError, match="say what it is about"):
        read(path)


@pytest.mark.parametrize(
    ("quota", "cores"), [("150000 100000", 2), ("max 100000", 16), ("6400000 100000", 16), ("", 16)]
)
def test_a_machine_is_what_the_process_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int
) -> None:
    """Cores are bounded by the container's quota, rounded up; the processor has the kernel's name for it."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    (tmp_path / "cpu.max").write_text(quota)
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast One\nmodel name\t: Fast One\n")
    assert Machine("Fast One", cores) == this_machine(tmp_path, tmp_path)
    assert f"Fast One, {cores} cores" == str(this_machine(tmp_path, tmp_path))
