"""Runs every check of the chart, prints a summary, and ends with 1 when one failed; `--write` writes the report."""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.chart import helm, programs
from tools.chart.audit import Verdict, audit
from tools.chart.manifests import Finding, Rendering
from tools.chart.negatives import cases, refused
from tools.chart.notes import notes_work
from tools.chart.render import Chart
from tools.chart.report import page
from tools.chart.schemas import VERSIONS, accepted
from tools.chart.steps import canaries_stay_out, readme_values_exist, same_as_compose, same_elsewhere, same_twice

PAGE = helm.ROOT / "docs" / "chart-audit.md"


class Summary:
    """Prints what each check found, and remembers whether one found anything."""

    def __init__(self) -> None:
        self.failed = 0

    def step(self, name: str, findings: Iterable[Finding]) -> None:
        """Runs one check and prints its line, and a line for each finding."""
        began = time.monotonic()
        found = list(findings)
        self.failed += bool(found)
        sys.stdout.write(f"{'FAIL' if found else 'ok  '} {name} ({time.monotonic() - began:.1f} s)\n")
        sys.stdout.writelines(f"       {finding}\n" for finding in found)
        sys.stdout.flush()


def main() -> int:
    """Runs everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system-helm", action="store_true", help="use the helm on the path instead of the pinned one")
    parser.add_argument("--write", action="store_true", help="write docs/chart-audit.md instead of comparing with it")
    options = parser.parse_args()
    summary = Summary()
    try:
        chart = Chart(helm.system() if options.system_helm else helm.installed())
        with tempfile.TemporaryDirectory() as folder:
            _check(chart, summary, Path(folder), write=options.write)
    except helm.HelmError as error:
        summary.step("helm", [Finding("helm", str(error))])
    sys.stdout.write(f"\n{summary.failed} checks failed\n" if summary.failed else "\nthe chart holds\n")
    return 1 if summary.failed else 0


def _check(chart: Chart, summary: Summary, scratch: Path, *, write: bool) -> None:
    renderings = [chart.rendering(scenario) for scenario in chart.scenarios()]
    summary.step("helm lint --strict", _lint(chart))
    summary.step("yamllint", programs.well_written(chart.folder))
    summary.step("two renderings are the same, byte by byte", same_twice(chart))
    summary.step("another release in another namespace shares nothing", same_elsewhere(chart))
    for version in VERSIONS:
        summary.step(
            f"Kubernetes {version} accepts what is rendered for it",
            _each(accepted(chart, item, version) for item in renderings),
        )
    verdicts = [verdict for item in renderings for verdict in audit(item)]
    for verdict in _by_rule(verdicts):
        summary.step(verdict.statement, verdict.findings)
    summary.step("NOTES.txt names what exists", _each(notes_work(item) for item in renderings))
    summary.step("the README names values that exist", readme_values_exist(chart))
    summary.step("canaries in secret values stay out", canaries_stay_out(chart, scratch))
    summary.step(f"{len(cases())} wrong values are refused, and the refusal names the key", refused(chart, scratch))
    summary.step("compose and the chart agree", same_as_compose(renderings))
    _others(chart, summary, renderings, scratch)
    summary.step("docs/chart-audit.md says so", _compare(page(renderings, verdicts), write=write))


def _others(chart: Chart, summary: Summary, renderings: list[Rendering], scratch: Path) -> None:
    manifests = scratch / "rendered"
    manifests.mkdir()
    for item in renderings:
        (manifests / f"{item.scenario}.yaml").write_text(chart.text(chart.scenarios()[item.scenario]))
    summary.step("checkov's policies", programs.policies(manifests))
    summary.step("promtool: rules and their tests", programs.rules_hold(renderings, scratch))


def _lint(chart: Chart) -> Iterator[Finding]:
    for scenario, files in chart.scenarios().items():
        try:
            chart.lint(files)
        except helm.HelmError as error:
            yield Finding(scenario, str(error))


def _by_rule(verdicts: list[Verdict]) -> Iterator[Verdict]:
    """Yields one verdict for each rule, with the findings of every scenario."""
    for rule in dict.fromkeys(verdict.rule for verdict in verdicts):
        same = [verdict for verdict in verdicts if verdict.rule is rule]
        findings = [Finding(f"{one.scenario}: {item.where}", item.message) for one in same for item in one.findings]
        yield Verdict(same[0].heading, rule, "", findings)


def _each(findings: Iterable[Iterable[Finding]]) -> Iterator[Finding]:
    for some in findings:
        yield from some


def _compare(text: str, *, write: bool) -> Iterator[Finding]:
    if write:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        yield Finding("docs/chart-audit.md", "is not what was found: run `make check-chart ARGS=--write`")


if __name__ == "__main__":
    sys.exit(main())
