"""A cluster that asks for signatures: `triptych up` hands the trusted keys on, and who has no key changes no answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from candidates import Colours, colour_dataset, colour_picture, colour_run
from e2e.cluster import Cluster, start_cluster, triptych, until
from fakes.signatures import write_trusted

from modelkit.release.publishing import Plan, publish_run
from modelkit.signing.keys import new_key
from modelkit.signing.signer import signer_of

RED = colour_picture("red", seed=1)
REFUSED = 'triptych_repository_refused_total{reason="signature"} 1.0'


@dataclass
class Signed:
    """Is a cluster, its repository with two signed versions of a model, and the publisher's key."""

    cluster: Cluster
    repository: Path
    key: Path

    def refusing(self) -> set[str]:
        """Returns the processes that have refused one manifest."""
        found = set()
        for process in self.cluster.status()["processes"]:
            text = httpx.get(f"http://127.0.0.1:{process['ports']['metrics']}/metrics", timeout=10).text
            found |= {process["name"]} if REFUSED in text else set()
        return found

    def version(self) -> str:
        """Returns the version that answers."""
        return str(self.cluster.post(RED, query="?model=colours").json()["version"])


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[Signed]:
    """Starts a cluster whose environment names a file of trusted keys."""
    repository, key = tmp_path / "models", tmp_path / "signing.pem"
    new_key(key)
    signer = signer_of(key)
    assert signer is not None
    dataset = colour_dataset(tmp_path)
    for gain in (1, 2):
        run = colour_run(tmp_path / f"run_{gain}", dataset, Colours(gain=gain))
        publish_run(repository, tmp_path / "datasets", Plan(run, "colours"), signer)
    variables = {"TRIPTYCH_TRUSTED_KEYS": write_trusted(tmp_path / "trusted", signer)}
    cluster = start_cluster(tmp_path / "state", "--model-repository", str(repository), variables=variables)
    yield Signed(cluster, repository, key)
    assert triptych("down", "--state-dir", str(cluster.state_dir)).returncode == 0


def test_only_who_has_the_key_changes_what_is_live(signed: Signed) -> None:
    """A default changed by hand is refused by all three services; after a rollback with the key the older answers."""
    assert "2" == signed.version()
    manifest, place = signed.repository / "colours" / "manifest.json", ("--repository", str(signed.repository))
    good = manifest.read_text()
    manifest.write_text(good.replace('"default_version": null', '"default_version": "1"'))
    until(lambda: {"preprocess", "inference", "postprocess"} == signed.refusing(), within_s=20)
    assert "2" == signed.version()
    assert 1 == triptych("model", "default", "colours", "1", *place).returncode
    manifest.write_text(good)
    back = ("model", "rollback", "colours", *place, "--signing-key", str(signed.key))
    assert 0 == triptych(*back).returncode
    until(lambda: signed.version() == "1", within_s=10)
