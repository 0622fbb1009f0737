"""Memory that a training keeps."""

import subprocess
import sys

_PROGRAM = """
import resource
import numpy as np
from modelkit.train.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(16):
        np.ones(64 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults()
keep_freed_memory()
faults()
print(given_back, faults())
"""


def test_what_is_freed_is_not_asked_of_the_kernel_again() -> None:
    """The same arrays, made and dropped again and again, are backed by the same pages; before, by new ones."""
    ended = subprocess.run([sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True)
    given_back, kept = map(int, ended.stdout.split())
    assert given_back > 100 > kept
