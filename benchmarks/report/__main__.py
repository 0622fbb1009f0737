"""Measures the limit, Triptych and its rivals in turns, and writes the report: `python -m benchmarks.report --help`."""

import argparse
import json
import platform
import sys
import time
from pathlib import Path

from benchmarks.limit import CORES
from benchmarks.machine import cpu_field
from benchmarks.report.claims import claims
from benchmarks.report.measurement import Round
from benchmarks.report.page import render
from benchmarks.report.plots import draw
from benchmarks.report.run import run_round
from benchmarks.report.systems import Best, all_systems


def main() -> int:
    """Measures, writes and prints. Returns 0 when every answer was right, whatever the figures."""
    options = _options()
    systems = [system for system in all_systems(Best()) if _wanted(system.name, options.only)]
    if not systems:
        names = ", ".join(system.name for system in all_systems(Best()))
        sys.stderr.write(f"--only {options.only} matches none of: {names}\n")
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    rounds: list[Round] = []
    for _ in range(options.rounds):
        rounds.append(run_round(systems, options.seconds))
        _write(rounds, options.out, [system.name for system in systems if system.rival])
    return 1 if any(m.failures for each in rounds for m in each.measurements) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures the limit, Triptych and its rivals in turns.")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything has its turn")
    parser.add_argument("--seconds", type=float, default=5, help="of each load")
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="only systems with a word in their name")
    parser.add_argument("--out", type=Path, default=Path("docs/performance"), help="folder for the report")
    return parser.parse_args()


def _wanted(name: str, words: list[str]) -> bool:
    return not words or any(word.lower() in name.lower() for word in words)


def _write(rounds: list[Round], folder: Path, rivals: list[str]) -> None:
    about = {
        "Command": "`" + " ".join(["python -m benchmarks.report", *sys.argv[1:]]) + "`",
        "Date": time.strftime("%Y-%m-%d"),
        "Machine": f"{CORES} cores, {cpu_field('model name')}, Linux {platform.release().split('-')[0]}",
        "Rounds": str(len(rounds)),
    }
    page = render(rounds, claims(rounds, rivals), about, draw(rounds, folder))
    (folder / "report.json").write_text(json.dumps({"about": about, "rounds": [r.to_json() for r in rounds]}, indent=1))
    (folder / "report.md").write_text(page)
    sys.stdout.write(page)


if __name__ == "__main__":
    sys.exit(main())
