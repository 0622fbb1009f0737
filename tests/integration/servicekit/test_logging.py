"""Logs of a process."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import structlog
from servicekit.logging import configure_logging
from servicekit.settings import ProcessSettings

configure_logging(ProcessSettings(), "it")
for number in range(1000):
    structlog.get_logger().error("there is no room for this", number=number)
print("goes on", flush=True)
"""


def test_a_full_disk_under_the_log_breaks_nothing_else() -> None:
    """What cannot be written is lost; whoever logs goes on."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", PROGRAM], stderr=full, stdout=subprocess.PIPE, check=False)
    assert done.stdout == b"goes on\n"
