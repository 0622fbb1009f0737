"""A publisher may die at any moment: the repository stays whole, and the next publisher goes on."""

from pathlib import Path

import pytest
from dying import dies
from releases import CARD, ONE, TWO

from modelkit.publish import publish
from modelkit.release.retention import collect
from servicekit.manifest import read_repository

WORDS = {
    "publish": "from modelkit.publish import publish; from releases import CARD, TWO; publish(root, CARD, TWO)",
    "collect": "from modelkit.release.retention import collect; collect(root, 'shapes', keep=1, grace_s=0)",
}


def whole(root: Path) -> set[str]:
    """Returns the versions that the manifest promises; each of them is there with every byte."""
    manifest = read_repository(root)["shapes"]
    for number, version in manifest.versions.items():
        expected = {"1": ONE, "2": TWO}[number]
        assert expected.onnx == (root / "shapes" / version.artifacts["cpu"].file).read_bytes()
        assert b"{}" == (root / "shapes" / number / "golden.json").read_bytes()
    return set(manifest.versions)


def leftovers(root: Path) -> list[Path]:
    """Lists unfinished folders."""
    return list((root / "shapes").glob(".publish-*"))


@pytest.mark.parametrize("what", WORDS)
def test_killed_anywhere(tmp_path: Path, what: str) -> None:
    """After each kill every promised version is whole, and what was live is; done again, all is as it should be."""
    deaths = 0
    while True:
        root = tmp_path / str(deaths)
        publish(root, CARD, ONE)
        if what == "collect":
            publish(root, CARD, TWO)
        if not dies(root, WORDS[what], after=deaths):
            break
        kept = "2" if what == "collect" else "1"
        assert kept in whole(root)
        if what == "publish":
            publish(root, CARD, TWO)
            assert {"1", "2"} == whole(root)
        else:
            collect(root, "shapes", keep=1, grace_s=0)
            assert {"2"} == whole(root)
            assert not (root / "shapes" / "1").exists()
        assert [] == leftovers(root)
        deaths += 1
    assert deaths > 5
