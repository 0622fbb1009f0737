"""What machine a measurement was made on."""

from pathlib import Path


def cpu_field(name: str) -> str:
    """Returns what the kernel says of the first core, such as its `model name` or `flags`; else `unknown`."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "unknown")
