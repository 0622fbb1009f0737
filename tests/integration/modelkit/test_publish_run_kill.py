"""Publishing a run may be killed while it judges and while it places files: what is live is whole, and it goes on."""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from candidates import Colours, colour_dataset, colour_run
from dying import CHANGE, READ, dies, moments

from modelkit.publish import live_version
from modelkit.release.gates import Limits
from modelkit.release.publishing import Plan, publish_run
from modelkit.signing.files import check_files
from servicekit.manifest import read_manifest

pytestmark = [pytest.mark.timeout(300)]

LENIENT = Limits(min_top1=0, min_agreement=0, max_slowdown=100)
PUBLISH = """
from modelkit.release.gates import Limits
from modelkit.release.publishing import Plan, publish_run

limits = Limits(min_top1=0, min_agreement=0, max_slowdown=100)
publish_run(root / "models", root / "datasets", Plan(root / "better", "colours", limits=limits))
"""
EVERY_READ, EVERY_CHANGE = 6, 2
"""Few moments of the judging, and most of the placing; `test_publish_kill.py` has all of that."""


def _publish(root: Path, run: str) -> None:
    publish_run(root / "models", root / "datasets", Plan(root / run, "colours", limits=LENIENT))


def _published(root: Path) -> dict[str, bytes]:
    """Returns all that lies in the repository; the manifest without the one figure that is a time."""
    found = {str(path.relative_to(root)): path for path in (root / "models").rglob("*")}
    contents = {name: path.read_bytes() if path.is_file() else b"" for name, path in found.items()}
    return {name: re.sub(rb'"latency_1_thread_ms": [0-9.]+', b"", data) for name, data in contents.items()}


def _live(root: Path) -> str:
    """Returns the version that is live; every file that the manifest promises is there as it says."""
    folder = root / "models" / "colours"
    manifest = read_manifest(folder)
    assert check_files(folder, manifest, manifest.versions) == 2 + 3 * len(manifest.versions)
    return live_version(manifest)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder in which a poor model is live, and a better one waits that answers otherwise."""
    root = tmp_path_factory.mktemp("before")
    dataset = colour_dataset(root)
    runs = {"poor": Colours(classes=(1, 2, 0, 3), top1=0.25), "better": Colours()}
    for name, colours in runs.items():
        run = colour_run(root / name, dataset, colours)
        (run / "evaluation.json").write_text(
            json.dumps({"robustness": {"mean_top1": colours.top1 / 3, "protocol": "all"}})
        )
    _publish(root, "poor")
    return root


def test_killed_while_it_judges_or_places(before: Path, tmp_path: Path) -> None:
    """Old or new is live and whole; published once more, every byte is that of a publisher that nobody killed."""
    whole = Path(shutil.copytree(before, tmp_path / "whole"))
    seen = moments(whole, PUBLISH)
    reads = [index for index, kind in enumerate(seen) if kind == READ]
    changes = [index for index, kind in enumerate(seen) if kind == CHANGE]
    chosen = sorted({*reads[::EVERY_READ], *changes[::EVERY_CHANGE], len(seen) - 1})

    def killed(moment: int) -> Path:
        root = Path(shutil.copytree(before, tmp_path / str(moment)))
        assert dies(root, PUBLISH, moment, (CHANGE, READ))
        return root

    with ThreadPoolExecutor(2) as pool:
        roots = list(pool.map(killed, chosen))
    lives = [_live(root) for root in roots]
    assert lives == sorted(lives)
    assert {"1", "2"} == set(lives)
    assert reads[0] < changes[0]
    for root in roots:
        _publish(root, "better")
        assert _published(root) == _published(whole)
