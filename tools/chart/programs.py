"""Runs the checkers that other people wrote: yamllint, checkov, promtool."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from tools.chart.helm import ROOT
from tools.chart.manifests import Finding, Rendering
from tools.chart.render import CHART

CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"
SKIPPED: Mapping[str, str] = {
    "CKV_K8S_11": "CPU is not limited where a limit would throttle the slowest requests; memory always is",
    "CKV_K8S_15": "images are named by version or digest, so pulling them again each time brings nothing but delay",
    "CKV_K8S_8": "the pod that tests a release ends by itself; probes of what serves have rules of ours",
    "CKV_K8S_9": "the pod that tests a release ends by itself; probes of what serves have rules of ours",
    "CKV_K8S_40": "NVIDIA's image is made for the user 1000; ours run as 10001",
    "CKV_K8S_43": "digests are asked for by global.requireDigests, which production sets, and held by a rule of ours",
}
"""Checks of checkov's that do not apply, and why."""
TESTS = ROOT / "tests" / "promtool"
"""Tests of the files of rules, and below `rendered` those of rules that the chart renders, which stand beside them."""
YAMLLINT = "{extends: relaxed, rules: {line-length: {max: 160}, indentation: {indent-sequences: whatever}}}"
"""Rules for files that people write; rendered manifests are Helm's."""


def well_written(folder: Path = CHART) -> Iterator[Finding]:
    """Values, scenarios and rules are well-formed YAML without doubled keys."""
    files = [folder / "Chart.yaml", folder / "values.yaml", *sorted(folder.glob("ci/*.yaml"))]
    done = _run(
        [sys.executable, "-m", "yamllint", "--strict", "--format", "parsable", "-d", YAMLLINT, *map(str, files)]
    )
    yield from (Finding("yamllint", line.replace(f"{folder}/", "")) for line in done.stdout.splitlines())


def policies(manifests: Path) -> Iterator[Finding]:
    """Checkov's policies for Kubernetes hold, but for those that are listed with the reason why not."""
    command = [
        CHECKOV,
        "--directory",
        manifests,
        "--framework",
        "kubernetes",
        "--output",
        "json",
        "--quiet",
        "--compact",
    ]
    done = _run([*map(str, command), "--skip-download"])
    try:
        report = json.loads(done.stdout)
    except ValueError:
        yield Finding("checkov", (done.stderr or done.stdout).strip()[-500:] or "says nothing")
        return
    parts = report if isinstance(report, list) else [report]
    failed = [item for part in parts for item in part["results"]["failed_checks"]]
    for item in failed:
        if item["check_id"] not in SKIPPED:
            where = f"{Path(item['file_path']).stem} {item['resource']}"
            yield Finding(where, f"{item['check_id']} {item['check_name']}")
    for check in SKIPPED.keys() - {item["check_id"] for item in failed}:
        yield Finding("checkov", f"{check} is left out for nothing: it fails nowhere")


def rules_hold(renderings: Iterable[Rendering], scratch: Path, tests: Path = TESTS) -> Iterator[Finding]:
    """Prometheus takes the rules of every scenario, and the tests of them, and of the files they come from, pass."""
    program, rules = shutil.which("promtool"), [file for each in renderings for file in _written(each, scratch)]
    cases = sorted(tests.glob("*.yaml")) + [
        Path(shutil.copy(case, scratch / f"test-{case.name}")) for case in sorted(tests.glob("rendered/*.yaml"))
    ]
    if program is None:
        yield Finding("promtool", "there is none here: apt install prometheus")
    elif not cases or not rules:
        yield Finding("promtool", f"finds {len(rules)} files of rules, and {len(cases)} files of tests in {tests}")
    else:
        for words in (["check", "rules", *map(str, rules)], ["test", "rules", *map(str, cases)]):
            done = _run([program, *words])
            if done.returncode != 0:
                yield Finding("promtool", (done.stderr + done.stdout).strip()[-1500:])


def _written(rendering: Rendering, folder: Path) -> Iterator[Path]:
    """Writes each PrometheusRule as a file that Prometheus reads, and yields where."""
    for item in rendering.of("PrometheusRule"):
        file = folder / f"{rendering.scenario}-{item['metadata']['name']}.yaml"
        file.write_text(yaml.safe_dump(item["spec"]))
        yield file


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603
