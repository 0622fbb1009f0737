"""Commands that are printed after an installation are read and checked."""

from dataclasses import replace

import pytest
from fakes.manifests import deployment, gateway, rendering, service

from tools.chart.notes import commands, notes_work

SOUND = """
Forward a port:

  kubectl --namespace triptych port-forward service/triptych-gateway 8080:8080 &
  curl --data-binary @photo.png \\
    http://localhost:8080/api/v1/classify | jq
"""


def _findings(notes: str) -> list[str]:
    release = replace(rendering(gateway(), service()), notes=notes)
    return [str(finding) for finding in notes_work(release)]


def test_commands_are_found_in_the_text() -> None:
    """Lines that begin with a program are commands: continued lines are one, and a pipe ends what is read."""
    assert ["kubectl", "curl"] == [words[0] for words in commands(SOUND)]
    assert "http://localhost:8080/api/v1/classify" == commands(SOUND)[1][-1]


def test_sound_notes_have_no_finding() -> None:
    """Commands whose Services and ports exist have no finding."""
    assert [] == _findings(SOUND)


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("service/triptych-gateway", "service/triptych", "there is no Service 'triptych'"),
        ("8080:8080", "8080:80", "has no port 80"),
        ("localhost:8080", "localhost:9090", "nothing forwards the port 9090"),
        ("--namespace triptych", "", "does not name the namespace"),
        ("photo.png", "<photo>", "has a gap"),
    ],
)
def test_wrong_notes_are_found(right: str, wrong: str, words: str) -> None:
    """A command that could not work is found."""
    assert any(words in text for text in _findings(SOUND.replace(right, wrong)))


def test_notes_name_a_test_where_there_is_one() -> None:
    """`helm test` is told where the release has a test, and only there."""
    tested = replace(rendering(gateway(), service(), deployment("test", {})), notes=SOUND)
    named = replace(tested, notes=f"{SOUND}\n  helm test triptych --namespace triptych\n")
    assert ["NOTES.txt: leaves `helm test` out, or names it where nothing tests the release"] == [
        str(finding) for finding in notes_work(tested)
    ]
    assert [] == list(notes_work(named))


def test_notes_without_commands_are_found() -> None:
    """Notes that tell nobody what to run are found."""
    assert ["NOTES.txt: tells no command"] == _findings("Thank you.")
