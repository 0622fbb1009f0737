"""Options: a supervisor in the background gets what the user asked for."""

from pathlib import Path

from localcluster.guard import survivors
from localcluster.options import UpOptions
from localcluster.process import ending


def test_options_travel_as_json() -> None:
    """What arrives is what was sent."""
    options = UpOptions(
        Path("/state"),
        http_port=1,
        replicas={"inference": 2},
        model="lite",
        timeout_s=1.5,
        tuned={"A": "1"},
        experiments=False,
    )
    assert options == UpOptions.from_json(options.to_json())


def test_endings_are_named() -> None:
    """A signal is told by its name, anything else by its code."""
    assert ("ended with code 3", "was killed by SIGKILL") == (ending(3), ending(-9))


def test_the_guard_forgets_groups_that_ended() -> None:
    """Only groups that were not reported gone are ended with the supervisor."""
    assert {2} == survivors(["+1\n", "+2\n", "-1\n"])
