"""Data sets survive the death of what writes them."""

import subprocess
import sys
from pathlib import Path

from datasources import write_idx

from modelkit.data.importing import Import, import_dataset
from modelkit.data.store import names

IMAGES = 40_000


def test_an_import_that_was_killed_goes_on(tmp_path: Path) -> None:
    """After kill -9 there is no half version; the next import keeps the finished shards and makes the same version."""
    source, root = write_idx(tmp_path / "in", IMAGES), tmp_path / "root"
    arguments = ["model", "data", "import", str(source), "--name", "x", "--root", str(root)]
    command = [sys.executable, "-m", "triptych.cli.__main__", *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (kept := list(root.glob("x/.unfinished-*/part-00000.parquet"))):
            assert process.poll() is None
        process.kill()
    assert [] == names(root)
    written = kept[0].stat().st_mtime_ns
    resumed = import_dataset(root, Import("x", source))
    whole = import_dataset(tmp_path / "other", Import("x", source))
    assert written == (resumed.folder / "part-00000.parquet").stat().st_mtime_ns
    assert whole.manifest.version == resumed.manifest.version
    assert IMAGES == resumed.count()
