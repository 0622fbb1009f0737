"""The life cycle may be killed while it copies or fetches: the next call finds nothing half, and makes it whole."""

from pathlib import Path

import pytest
from dying import dies

from benchmarks.lifecycle import data
from benchmarks.lifecycle.chain import Chain, Scale
from benchmarks.lifecycle.shell import Shell
from benchmarks.workload import ROOT
from servicekit.manifest import read_manifest

COPY = """
from benchmarks.lifecycle.chain import Chain, Scale
from benchmarks.lifecycle.shell import Shell

Chain(Shell(Path(sys.executable), root), Scale(root)).repository()
"""
FETCH = """
from benchmarks.lifecycle import data

os.environ |= {"PATH": f"{root / 'bin'}:/usr/bin:/bin", "DYING": "yes"}
data.INSTALLED = Path("/nowhere/fashion-mnist")
data.fashion_mnist(root / "cache")
"""
DOWNLOADS = "#!/bin/sh\necho > dataset-fashion-mnist_0_all.deb\n"
UNPACKS = """#!/bin/sh
mkdir -p nowhere/fashion-mnist
echo > nowhere/fashion-mnist/one
[ "$DYING" ] && kill -9 $PPID
echo > nowhere/fashion-mnist/two
"""


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("after", [1, 4, 7])
def test_a_copy_that_was_cut_off_is_made_anew(tmp_path: Path, after: int) -> None:
    """The model repository appears whole, and nothing else is left."""
    assert dies(tmp_path, COPY, after)
    models = Chain(Shell(Path("python"), tmp_path), Scale(tmp_path)).repository()
    assert _contents(models) == _contents(ROOT / "triton_models")
    assert [models] == list(tmp_path.iterdir())


def test_a_version_that_no_manifest_names_is_made_anew(tmp_path: Path) -> None:
    """A publisher that was killed may leave a version's folder; only one that the manifest names is finished."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    chain = Chain(Shell(program, tmp_path), Scale(tmp_path))
    folder = chain.repository() / "efficientnet_lite0"
    (folder / "3").mkdir()
    chain.quantise_published()
    assert 1 == len(chain.shell.done)
    manifest = read_manifest(folder)
    versions = {**manifest.versions, "3": manifest.versions["2"]}
    (folder / "manifest.json").write_text(manifest.model_copy(update={"versions": versions}).model_dump_json())
    chain.quantise_published()
    assert 1 == len(chain.shell.done)


def test_a_fetch_that_was_cut_off_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while the package is unpacked, by a stand-in for its program: the next call has all of its files."""
    (tmp_path / "bin").mkdir()
    for name, text in {"apt-get": DOWNLOADS, "dpkg-deb": UNPACKS}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    assert dies(tmp_path, FETCH, 1000)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(data, "INSTALLED", Path("/nowhere/fashion-mnist"))
    folder = data.fashion_mnist(tmp_path / "cache")
    assert {"one", "two"} == set(_contents(folder))
    assert [tmp_path / "cache" / "nowhere"] == list((tmp_path / "cache").iterdir())
