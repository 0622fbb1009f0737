"""The connection of commands: its options on every command, and what is said about calls that fail."""

import os
from typing import Any

import pytest

from localcluster.state import ClusterStatus, Identity, Phase, ProcessState, ProcessStatus
from triptych import ClassifyError
from triptych.cli.connection import Connection
from triptych.cli.options import Gateway


def connection(**changes: Any) -> Connection:
    """Returns the connection to a cluster on this machine whose experiments do not start."""
    processes = (ProcessStatus("experiments", 1, ProcessState.WAITING, "", {}, optional=True),)
    own = Identity.of(os.getpid())
    cluster = ClusterStatus(Phase.DEGRADED, own, "127.0.0.1:8081", "127.0.0.1:8080", "/models", processes)
    return Connection(Gateway(**{"address": "127.0.0.1:8081", "cluster": cluster, "flag": "", **changes}), None, 10.0)


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        ("UNIMPLEMENTED", "", "keeps no experiments and no feedback"),
        ("UNIMPLEMENTED", "EXPERIMENTS_OFF", "without --no-experiments"),
        ("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE", "experiments-1 waiting"),
    ],
)
def test_what_a_cluster_lacks_is_told_with_what_to_do(code: str, reason: str, said: str) -> None:
    """The user's own cluster is known: which process is not ready, or how it was started."""
    assert said in connection().explain(ClassifyError(code, "It cannot.", reason=reason))


def test_of_another_gateway_nothing_is_guessed() -> None:
    """There the server's sentence has to do."""
    told = connection(cluster=None).explain(ClassifyError("UNAVAILABLE", "No.", reason="DEPENDENCY_UNAVAILABLE"))
    assert told.startswith("No. (DEPENDENCY_UNAVAILABLE")
    assert "triptych" not in told
