"""Holds the fastest configuration against the default one on every test photograph."""

import sys

from benchmarks.bare import Bare
from benchmarks.report.systems import Best
from benchmarks.workload import ROOT


def main() -> int:
    """Compares and prints. Returns 1 when a photograph's best class differs."""
    default, fastest = Bare(), Best().truth()
    same = True
    for path in sorted((ROOT / "tests" / "photographs").glob("*.*g")):
        content = path.read_bytes()
        wanted, found = (bare.classify(content)[0] for bare in (default, fastest))
        same &= wanted.index == found.index
        labels = f"{default.labels[wanted.index]} {wanted.score:.2f}   {fastest.labels[found.index]} {found.score:.2f}"
        sys.stdout.write(f"{path.name:<24} {labels}{'' if wanted.index == found.index else '   DIFFERS'}\n")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
