"""Which Kubernetes a scenario is for: it is refused where that is too old, and nowhere else."""

from pathlib import Path

import pytest
from fakes.manifests import rendering

from tools.chart.helm import HelmError
from tools.chart.render import Chart
from tools.chart.schemas import accepted, needs

CLAIMING = rendering({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "metadata": {"name": "c"}})
REFUSAL = "triton.pools[a].gpu.dra.enabled needs Kubernetes 1.33 or newer; this is v1.30.0."


def _refused(monkeypatch: pytest.MonkeyPatch, version: str, words: str) -> list[str]:
    def refuse(*_: object) -> None:
        raise HelmError(words)

    monkeypatch.setattr(Chart, "rendered_for", refuse)
    return [str(finding) for finding in accepted(Chart(Path("helm")), CLAIMING, version)]


def test_a_scenario_needs_what_it_uses() -> None:
    """Claims of devices came later than the chart's oldest Kubernetes."""
    assert ("1.34", "1.30") == (needs(CLAIMING), needs(rendering()))


def test_a_refusal_below_what_it_needs_is_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Kubernetes that is too old is told of by the chart."""
    assert [] == _refused(monkeypatch, "1.30", REFUSAL)


@pytest.mark.parametrize(("version", "words"), [("1.30", "nil pointer"), ("1.35", REFUSAL)])
def test_any_other_refusal_is_found(monkeypatch: pytest.MonkeyPatch, version: str, words: str) -> None:
    """A template that stumbles, and a Kubernetes that has everything, are no reasons."""
    assert [f"fixture: Kubernetes {version}: {words}"] == _refused(monkeypatch, version, words)
