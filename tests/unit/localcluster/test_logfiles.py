"""Log files: bounded, kept across one restart of the cluster, readable while they grow."""

from pathlib import Path

from localcluster import logfiles


def test_the_log_before_is_kept(tmp_path: Path) -> None:
    """A new start moves the old log aside."""
    path = tmp_path / "logs" / "a-1.log"
    logfiles.begin(path)
    path.write_text("old")
    logfiles.begin(path)
    assert ("", "old") == (path.read_text(), logfiles.older(path).read_text())


def test_a_full_log_is_emptied_under_its_writer(tmp_path: Path) -> None:
    """The writer of a full log goes on in the same, emptied file."""
    path = tmp_path / "a-1.log"
    with path.open("a") as writer:
        writer.write("x" * 100)
        writer.flush()
        logfiles.bound(path, limit_bytes=99)
        writer.write("new")
    assert ("new", "x" * 100) == (path.read_text(), logfiles.older(path).read_text())


def test_a_full_log_on_a_full_disk_goes(tmp_path: Path) -> None:
    """There is no room to keep it, and it must not grow for ever."""
    path = tmp_path / "a-1.log"
    path.write_text("x" * 100)
    logfiles.older(path).symlink_to("/dev/full")
    logfiles.bound(path, limit_bytes=99)
    assert path.read_text() == ""


def test_tail_is_short(tmp_path: Path) -> None:
    """Only the last lines are returned."""
    (tmp_path / "a.log").write_text("1\n2\n3\n")
    assert ["2", "3"] == logfiles.tail(tmp_path / "a.log", lines=2)


def test_tail_of_nothing_is_empty(tmp_path: Path) -> None:
    """A log that does not exist has no lines."""
    assert [] == logfiles.tail(tmp_path / "a.log")


def test_reader_returns_whole_new_lines(tmp_path: Path) -> None:
    """A line is returned once, when it is complete, also after the log was emptied."""
    path = tmp_path / "a.log"
    reader = logfiles.LogReader(path)
    seen = [reader.read()]
    for text in ("one\ntw", "o\nthree\n"):
        with path.open("a") as file:
            file.write(text)
        seen.append(reader.read())
    path.write_text("four\n")
    assert [[], ["one"], ["two", "three"], ["four"]] == [*seen, reader.read()]


def test_reader_goes_on_with_a_new_log_of_the_same_length(tmp_path: Path) -> None:
    """A log that was begun anew is read from its start, however long it already is."""
    path = tmp_path / "a.log"
    path.write_text("old\n")
    reader = logfiles.LogReader(path)
    reader.read()
    logfiles.begin(path)
    path.write_text("new line\n")
    assert ["new line"] == reader.read()
