"""The co-located process has the services inside, and is told so little about them that nothing can be wrong."""

import pytest

from colocated.settings import ColocatedSettings
from servicekit.settings import SettingsError

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_MODEL_REPOSITORY", "models")
    monkeypatch.setenv("TRIPTYCH_TRITON_TARGETS", "127.0.0.1:8001")


def test_no_target_is_needed() -> None:
    """Where the services are is known."""
    assert "inprocess:" == ColocatedSettings.load().preprocess_target


@pytest.mark.parametrize("stage", ["PREPROCESS", "INFERENCE", "POSTPROCESS"])
@pytest.mark.parametrize("target", ["dns:///elsewhere:8081", "link:elsewhere", ""])
def test_a_target_is_refused(monkeypatch: pytest.MonkeyPatch, stage: str, target: str) -> None:
    """Whoever points at a service elsewhere learns which variable is of no use here, and why."""
    monkeypatch.setenv(f"TRIPTYCH_{stage}_TARGET", target)

    with pytest.raises(SettingsError) as refusal:
        ColocatedSettings.load()

    why = "this process has the service inside and calls no other, so leave it unset"
    assert f"TRIPTYCH_{stage}_TARGET: Value error, {why}, not {target!r}" == str(refusal.value)


@pytest.mark.parametrize("port", ["9003", "0", "many"])
def test_a_port_for_links_is_refused(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    """Whoever wants links here learns that there are none."""
    monkeypatch.setenv("TRIPTYCH_LINK_PORT", port)

    with pytest.raises(SettingsError) as refusal:
        ColocatedSettings.load()

    why = "this process has the services inside and serves no links, so leave it unset"
    assert f"TRIPTYCH_LINK_PORT: Value error, {why}, not {port!r}" == str(refusal.value)
