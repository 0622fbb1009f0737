"""The journal, on a real disk."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servicekit.errors import Reason, ResourceExhausted, Unavailable
from services.experiments.frames import HEADER_BYTES, Kind
from services.experiments.journal import Journal, JournalError

MIB = 1024 * 1024
payloads = st.lists(st.binary(max_size=60), min_size=1, max_size=12)


@asynccontextmanager
async def _opened(folder: Path, max_bytes: int = MIB, **options: int) -> AsyncIterator[Journal]:
    journal = Journal(folder, max_bytes, **options)
    try:
        yield journal
    finally:
        await journal.close()


async def _append(journal: Journal, *contents: bytes, kind: Kind = Kind.FEEDBACK) -> None:
    for content in contents:
        await journal.append(kind, content, 1)


def _read(journal: Journal, position: int = 0, max_bytes: int = 100) -> list[bytes]:
    """Returns all payloads from a position on, read in small pieces."""
    found = []
    while position < journal.end:
        batch = journal.read(position, max_bytes)
        assert batch.end > position
        found += [entry.payload for entry in batch.entries]
        position = batch.end
    return found


def _files(folder: Path, pattern: str = "*.log") -> list[Path]:
    return sorted(folder.glob(pattern))


async def _written(folder: Path, contents: Sequence[bytes], **options: int) -> None:
    async with _opened(folder, **options) as journal:
        await _append(journal, *contents)


async def test_entries_come_back_in_order(tmp_path: Path) -> None:
    """With all that they were given, over many files, and again after the journal was opened anew."""
    contents = [bytes([number]) * number for number in range(100)]
    await _written(tmp_path, contents, segment_bytes=500)
    assert 5 < len(_files(tmp_path))
    async with _opened(tmp_path) as journal:
        await journal.append(Kind.DELETION, b"last", 42)
        assert [*contents, b"last"] == _read(journal)
        last = journal.read(journal.end - HEADER_BYTES - 4, 1).entries[0]
        assert (Kind.DELETION, 42, b"last", journal.end) == (last.kind, last.time_us, last.payload, last.end)
        assert [] == journal.read(journal.end, 100).entries


@settings(deadline=None, max_examples=40)
@given(payloads, st.data())
async def test_a_crash_keeps_what_was_acknowledged(contents: list[bytes], data: st.DataObject) -> None:
    """Wherever in the file the crash leaves it, whole entries stay, half ones go, and the journal goes on."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        await _written(folder, contents)
        path = _files(folder)[0]
        content = path.read_bytes()
        length = data.draw(st.integers(0, len(content)), "crash")
        zeros = data.draw(st.sampled_from([0, 1, 30, 5000]), "zeros")
        path.write_bytes(content[:length] + bytes(zeros))  # a file may have grown before its content came

        ends = [sum(HEADER_BYTES + len(each) for each in contents[: count + 1]) for count in range(len(contents))]
        whole = [each for each, end in zip(contents, ends, strict=True) if end <= length]
        async with _opened(folder) as journal:
            kept = _read(journal)
            await _append(journal, b"new")
            assert whole == kept[: len(whole)]
            assert [*kept, b"new"] == _read(journal)
            if not zeros:  # zeros may happen to be the rest of an entry
                assert whole == kept


@settings(deadline=None, max_examples=40)
@given(payloads, st.data())
async def test_what_the_disk_changed_is_kept_aside(contents: list[bytes], data: st.DataObject) -> None:
    """What lies before it stays; what lies behind it in its file is not lost, and the other files are read."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        await _written(folder, contents)
        path = _files(folder)[0]
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1), "place")
        content[at] ^= 1 << data.draw(st.integers(0, 7), "bit")
        path.write_bytes(content)

        async with _opened(folder) as journal:
            kept = _read(journal)
            assert contents[: len(kept)] == kept
            assert len(kept) < len(contents)
            aside = _files(folder, "*.broken")[0]
            assert bytes(content[int(aside.stem) :]) == aside.read_bytes()
            await _append(journal, b"new")
            assert [*kept, b"new"] == _read(journal)


async def test_an_older_file_that_broke_is_passed_over(tmp_path: Path) -> None:
    """While the journal is in use, too: what lies behind it is read."""
    async with _opened(tmp_path, segment_bytes=100) as journal:
        await _append(journal, *[bytes([number]) * 50 for number in range(6)])
        first = _files(tmp_path)[0]
        content = bytearray(first.read_bytes())
        content[HEADER_BYTES + 60 :] = b"?" * len(content[HEADER_BYTES + 60 :])
        first.write_bytes(content)
        expected = [bytes([number]) * 50 for number in (0, 2, 3, 4, 5)]
        assert expected == _read(journal, max_bytes=1)
        assert 1 == len(_files(tmp_path, "*.broken"))


async def test_entries_that_come_at_once_share_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred callers wait for two or three of the disk's answers."""
    calls = []
    sync = os.fdatasync

    def count(file: int) -> None:
        calls.append(file)
        sync(file)

    monkeypatch.setattr(os, "fdatasync", count)
    async with _opened(tmp_path) as journal:
        await asyncio.gather(*(_append(journal, bytes([number])) for number in range(100)))
        assert sorted(_read(journal)) == [bytes([number]) for number in range(100)]
    assert len(calls) <= 3


async def test_who_gives_up_leaves_the_others_alone(tmp_path: Path) -> None:
    """What was given to the disk stays there."""
    async with _opened(tmp_path) as journal:
        impatient = asyncio.create_task(_append(journal, b"a"))
        patient = asyncio.create_task(_append(journal, b"b"))
        await asyncio.sleep(0)
        impatient.cancel()
        await patient
        assert [b"a", b"b"] == _read(journal)


async def test_a_full_journal_takes_nothing_more(tmp_path: Path) -> None:
    """Evidence is refused before feedback is; what was discarded makes room again."""
    async with _opened(tmp_path, max_bytes=1000) as journal:
        with pytest.raises(ResourceExhausted) as caught:
            await _append(journal, *[b"x" * 79] * 20, kind=Kind.EVIDENCE)
        assert (Reason.STORE_FULL, 8) == (caught.value.reason, len(_read(journal)))
        with pytest.raises(ResourceExhausted):
            await _append(journal, *[b"x" * 79] * 20)
        assert 10 == len(_read(journal))

        journal.discard(journal.end)
        await _append(journal, b"x" * 79)
        assert journal.length < 1000
        assert 11 > len(_read(journal, journal.start))


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
async def test_a_full_disk_takes_nothing_and_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Half of an entry may have been written; there is no disk of our own to fill, so the system call says so."""
    real = getattr(os, call)

    def fail(file: int, data: Any = b"", *rest: Any) -> None:
        if data:
            real(file, data[: len(data) // 2], *rest)
        raise OSError(errno.ENOSPC, "No space left on device")

    async with _opened(tmp_path) as journal:
        await _append(journal, b"before")
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            for _ in range(3):
                with pytest.raises(ResourceExhausted):
                    await _append(journal, b"lost")
        assert [b"before"] == _read(journal)
        await _append(journal, b"after")
        assert [b"before", b"after"] == _read(journal)
    async with _opened(tmp_path) as journal:
        assert [b"before", b"after"] == _read(journal)


async def test_a_failing_disk_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be mended, unlike a request."""
    async with _opened(tmp_path) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
            with pytest.raises(Unavailable):
                await _append(journal, b"lost")
        await _append(journal, b"after")
        assert [b"after"] == _read(journal)


async def test_files_go_when_they_are_not_needed(tmp_path: Path) -> None:
    """Even the newest, once another one was begun; positions go on where they were."""
    async with _opened(tmp_path, segment_bytes=100) as journal:
        await _append(journal, *[b"x" * 50] * 6)
        journal.discard(journal.end)
        assert 1 == len(_files(tmp_path))
        journal.release(journal.end)
        assert [0] == [path.stat().st_size for path in _files(tmp_path)]
        end = journal.end
    async with _opened(tmp_path) as journal:
        assert (end, end) == (journal.start, journal.end)
        await _append(journal, b"new")
        assert [b"new"] == _read(journal, 0)


async def test_one_process_at_a_time(tmp_path: Path) -> None:
    """Two would write over each other."""
    async with _opened(tmp_path) as journal:
        with pytest.raises(JournalError):
            Journal(tmp_path, MIB)
        name = journal.name
    async with _opened(tmp_path) as journal:
        assert name == journal.name
        journal.rename()
        assert name != journal.name
