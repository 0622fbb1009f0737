"""A disk that is really full."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.evidence import evidence, feedback, prediction, said
from fakes.servers import eventually
from pydantic import SecretStr

from benchmarks.disk import MIB, NoDiskError, SmallDisk, small_disk
from benchmarks.full_disk import fill
from servicekit.errors import ResourceExhausted
from services.experiments.settings import ExperimentsSettings
from services.experiments.store import Store, open_store


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Mounts a disk of 8 MiB."""
    try:
        with small_disk(tmp_path / "disk", 8 * MIB) as mounted:
            yield mounted
    except NoDiskError as error:
        pytest.skip(str(error))


async def _taken(store: Store) -> bool:
    """Says whether a label is taken, for which there may be no room."""
    try:
        await store.intake.submit(feedback(said("p", 1)))
    except ResourceExhausted:
        return False
    return True


async def test_a_journal_gives_up_what_is_applied_when_its_disk_is_full(disk: SmallDisk, tmp_path: Path) -> None:
    """So labels are taken again at once, though nobody makes room."""
    url = SecretStr(f"sqlite:///{tmp_path / 'experiments.db'}")
    settings = ExperimentsSettings(data_dir=disk.folder, database_url=url, prediction_ttl_s=1e9)
    async with open_store(settings) as store:
        assert await _taken(store)
        await eventually(lambda: 0 < store.journal.start == store.journal.end, within_s=20)  # tidied, for a minute
        await store.intake.record(evidence(prediction("p", image=bytes(3 * MIB))))
        await eventually(lambda: store.writer.progress().waiting_bytes == 0, within_s=20)
        disk.fill()
        while await _taken(store):
            pass  # within the last page that the file has
        await eventually(lambda: _taken(store), within_s=20)
        assert disk.free_bytes > 2 * MIB


@pytest.mark.usefixtures("disk")
@pytest.mark.timeout(300)
async def test_every_acknowledged_label_is_there_once(tmp_path: Path) -> None:
    """`python -m benchmarks.crashes --disk-full` does it more often, and for each part on a disk of its own."""
    outcome = await fill(tmp_path / "filled", "", "everything", rounds=2)
    assert (0, 0) == (outcome.missing, outcome.twice), outcome
    assert 0 < outcome.acknowledged
    assert 0 < outcome.failed_calls
