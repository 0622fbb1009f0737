"""What was acknowledged survives kill -9, whenever it comes."""

from pathlib import Path

import pytest

from benchmarks.crashes import crash


@pytest.mark.timeout(300)
async def test_every_acknowledged_label_is_there_once(tmp_path: Path, database_url: str) -> None:
    """`python -m benchmarks.crashes` does it a hundred times."""
    outcome = await crash(tmp_path, database_url, kills=5)
    assert (0, 0) == (outcome.missing, outcome.twice), outcome
    assert 0 < outcome.acknowledged
    assert 0 < outcome.failed_calls
