"""What other people's checkers are given: none of them passes because it was given nothing."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from fakes.manifests import rendering

from tools.chart.programs import TESTS, rules_hold

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not here")
RULES = {"groups": [{"name": "g", "rules": [{"alert": "Away", "expr": "absent(a_b)"}]}]}
CASE = """
rule_files: [fixture-causes.yaml]
tests:
  - interval: 1m
    alert_rule_test: [{alertname: Away, eval_time: 5m, exp_alerts: [%s]}]
"""


def _rule(spec: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "PrometheusRule", "metadata": {"name": "causes"}, "spec": spec}


def _tests(folder: Path, expected: str) -> Path:
    (folder / "rendered").mkdir(parents=True)
    (folder / "rendered" / "a.yaml").write_text(CASE % expected)
    return folder


def _findings(tmp_path: Path, tests: Path, spec: dict[str, Any] = RULES) -> list[str]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return [str(finding) for finding in rules_hold([rendering(_rule(spec))], scratch, tests)]


def test_there_are_tests_of_the_rules() -> None:
    """Both kinds are where the check looks for them."""
    assert [*TESTS.glob("*.yaml")]
    assert [*TESTS.glob("rendered/*.yaml")]


@needs_promtool
def test_rules_that_hold_have_no_finding(tmp_path: Path) -> None:
    """A rule that fires as its test says is sound."""
    assert [] == _findings(tmp_path, _tests(tmp_path / "tests", "{}"))


@needs_promtool
def test_a_failing_test_is_found(tmp_path: Path) -> None:
    """A rule that fires where its test wants silence is found."""
    assert any("Away" in text for text in _findings(tmp_path, _tests(tmp_path / "tests", "")))


@needs_promtool
def test_rules_that_prometheus_refuses_are_found(tmp_path: Path) -> None:
    """A rendered expression that is none is found."""
    broken = {"groups": [{"name": "g", "rules": [{"alert": "Away", "expr": "absent("}]}]}
    assert _findings(tmp_path, _tests(tmp_path / "tests", "{}"), broken)


@needs_promtool
def test_no_tests_are_a_finding(tmp_path: Path) -> None:
    """Where there is nothing to run, nothing is shown."""
    assert ["and 0 files of tests"] == [text.partition(", ")[2][:20] for text in _findings(tmp_path, tmp_path)]


def test_a_missing_promtool_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is never left out in silence."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert ["promtool: there is none here: apt install prometheus"] == _findings(tmp_path, TESTS)
