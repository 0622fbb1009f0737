"""The gateway's settings: where the services are is checked before anybody is called."""

import pytest

from gateway.settings import GatewaySettings
from servicekit.settings import SettingsError

STAGES = ("PREPROCESS", "INFERENCE", "POSTPROCESS")


@pytest.fixture(autouse=True)
def _needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in STAGES:
        monkeypatch.setenv(f"TRIPTYCH_{stage}_TARGET", f"dns:///{stage.lower()}:8081")


@pytest.mark.parametrize("target", ["dns:///preprocess:8081", "link:///preprocess:8082", "link:10.0.0.1:82,[::1]:82"])
def test_a_target_is_of_grpc_or_of_links(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """Either kind is taken as it is."""
    monkeypatch.setenv("TRIPTYCH_PREPROCESS_TARGET", target)

    assert target == GatewaySettings.load().preprocess_target


@pytest.mark.parametrize("stage", STAGES)
def test_a_wrong_target_is_named(monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """Whoever leaves out the port learns where, and how it is written."""
    monkeypatch.setenv(f"TRIPTYCH_{stage}_TARGET", "link:elsewhere")

    with pytest.raises(SettingsError, match=rf"^TRIPTYCH_{stage}_TARGET: .*'link:elsewhere' is not like `link:10\."):
        GatewaySettings.load()


def test_experiments_are_reached_over_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a link nothing could be exported."""
    monkeypatch.setenv("TRIPTYCH_EXPERIMENTS_TARGET", "link:10.0.0.1:82")

    with pytest.raises(SettingsError, match=r"^TRIPTYCH_EXPERIMENTS_TARGET: .*must be a gRPC name"):
        GatewaySettings.load()
