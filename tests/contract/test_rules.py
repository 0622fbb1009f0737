"""Prometheus' rules: right, tested, and each alert with an entry in the runbook."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "helm" / "triptych" / "files" / "rules").glob("*.yaml"))
TESTS = sorted((ROOT / "tests" / "promtool").glob("*.yaml"))
RUNBOOK = ROOT / "docs" / "runbook.md"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt install prometheus")


def _alerts() -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from (rule for rule in group["rules"] if "alert" in rule)


def _run(*arguments: str) -> tuple[int, str]:
    done = subprocess.run((str(PROMTOOL), *arguments), capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@needs_promtool
def test_the_rules_are_right() -> None:
    """Promtool has nothing to say about them."""
    assert (0, "") == _run("check", "rules", *map(str, RULES))


@needs_promtool
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_they_shall(path: Path) -> None:
    """Each alert fires for numbers that are bad, and none does for those that are not quite so."""
    assert (0, "") == _run("test", "rules", str(path))


def test_every_alert_is_tested() -> None:
    """Each is listed among what fires, by its name and, where there are several of it, its window."""
    fired = {
        (match["name"], match["window"] or "")
        for path in TESTS
        for match in re.finditer(r'alertname="(?P<name>\w+)"[^}]*?(?:window="(?P<window>\w+)")?\}', path.read_text())
    }

    assert {(rule["alert"], rule["labels"].get("window", "")) for rule in _alerts()} == fired


def test_every_alert_says_what_to_do() -> None:
    """Severity, summary, description and a link into the runbook are there, the link under the alert's own name."""
    said = {
        (
            rule["alert"],
            rule["labels"]["severity"] in {"page", "ticket"},
            set(rule["annotations"]),
            rule["annotations"]["runbook_url"],
        )
        == (
            rule["alert"],
            True,
            {"summary", "description", "runbook_url"},
            f"docs/runbook.md#{rule['alert'].lower()}",
        )
        for rule in _alerts()
    }

    assert {True} == said


def test_the_runbook_has_a_section_per_alert() -> None:
    """None is missing, and none is about an alert that is no more."""
    assert {rule["alert"] for rule in _alerts()} == set(re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE))


def test_every_section_tells_the_same_three_things() -> None:
    """What one notices, how to see it, what to do about it."""
    sections = re.split(r"^## \w+$", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]

    assert [["Symptom", "See", "Do"]] * len(sections) == [
        re.findall(r"^\*\*(\w+)\.\*\*", section, re.MULTILINE) for section in sections
    ]


def test_links_within_the_runbook_lead_somewhere() -> None:
    """Each is the anchor of a section."""
    text = RUNBOOK.read_text()
    anchors = {name.lower() for name in re.findall(r"^## (\w+)$", text, re.MULTILINE)}

    assert set(re.findall(r"\]\(#(\w+)\)", text)) <= anchors
