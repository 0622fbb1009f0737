"""Writes Grafana's dashboards, or proves them.

`python -m tools.dashboards write` writes helm/triptych/files/dashboards/, `write --check` fails when a file differs,
and `check` asks every query of them, and of the rules, of a real Prometheus beside a real cluster.
"""

import argparse
import asyncio
import sys

from tools.dashboards import pages
from tools.dashboards.check import check
from tools.dashboards.prometheus import PrometheusError


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.dashboards", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write").add_argument("--check", action="store_true")
    commands.add_parser("check")
    options = parser.parse_args()
    if options.command == "check":
        return _tell(_checked())
    if options.check:
        return _tell([f"{name} is not up to date: run `make gen`" for name in pages.outdated()])
    pages.write()
    return 0


def _checked() -> list[str]:
    try:
        return asyncio.run(check())
    except PrometheusError as error:
        return [str(error)]


def _tell(problems: list[str]) -> int:
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
