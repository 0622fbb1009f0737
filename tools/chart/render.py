"""Renders the chart's scenarios with Helm, and parses what comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tools.chart.helm import ROOT, run
from tools.chart.manifests import Rendering

CHART = ROOT / "helm" / "triptych"
SUFFIX = "-values.yaml"
DEFAULTS = "defaults"
KUBE = "1.35"
"""The Kubernetes that scenarios are rendered for, where no other is named."""


@dataclass(frozen=True)
class Chart:
    """Is a chart, and the Helm that renders it."""

    helm: Path
    folder: Path = CHART

    def scenarios(self) -> dict[str, Sequence[Path]]:
        """Returns the values files of every scenario, the bare defaults first."""
        files = sorted(self.folder.glob(f"ci/*{SUFFIX}"))
        return {DEFAULTS: (), **{file.name.removesuffix(SUFFIX): (file,) for file in files}}

    def lint(self, files: Sequence[Path]) -> None:
        """Raises HelmError when `helm lint --strict` finds fault."""
        run(self.helm, "lint", "--strict", "--quiet", str(self.folder), *_options(files))

    def text(
        self,
        files: Sequence[Path],
        *sets: str,
        release: str = "triptych",
        namespace: str = "triptych",
        kube: str = KUBE,
    ) -> str:
        """Returns the rendered manifests as text.

        Raises:
            HelmError: the chart or its schema refuses the values.
        """
        options = [*_options(files), *(word for item in sets for word in ("--set-json", item))]
        cluster = ["--namespace", namespace, "--kube-version", f"{kube}.0"]
        return run(self.helm, "template", release, str(self.folder), *cluster, *options)

    def notes(self, files: Sequence[Path]) -> str:
        """Returns what Helm says after an installation."""
        options = ["--namespace", "triptych", *_options(files)]
        said = run(self.helm, "install", "triptych", str(self.folder), "--dry-run=client", "--no-hooks", *options)
        return said.partition("\nNOTES:\n")[2]

    def values(self, files: Sequence[Path]) -> dict[str, Any]:
        """Returns the values of a scenario over the defaults, as Helm merges them."""
        merged: Any = yaml.safe_load((self.folder / "values.yaml").read_text())
        for file in files:
            merged = overlay(merged, yaml.safe_load(file.read_text()) or {})
        return dict(merged)

    def rendered_for(self, rendering: Rendering, kube: str) -> Rendering:
        """Returns the same scenario for another Kubernetes.

        Raises:
            HelmError: the chart refuses it there.
        """
        if kube == KUBE:
            return rendering
        return replace(rendering, objects=parse(self.text(self.scenarios()[rendering.scenario], kube=kube)))

    def rendering(self, scenario: str, release: str = "triptych", namespace: str = "triptych") -> Rendering:
        """Returns the objects of a scenario."""
        files = self.scenarios()[scenario]
        objects = parse(self.text(files, release=release, namespace=namespace))
        return Rendering(scenario, objects, self.values(files), namespace, release, self.notes(files))


def parse(text: str) -> list[dict[str, Any]]:
    """Returns the objects of a stream of YAML documents."""
    return [item for item in yaml.load_all(text, Loader=yaml.CSafeLoader) if item]


def overlay(below: Any, above: Any) -> Any:
    """Returns the upper values over the lower: mappings merge, all else is replaced, null removes."""
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    merged = {**below, **{key: overlay(below.get(key), value) for key, value in above.items()}}
    return {key: value for key, value in merged.items() if value is not None or key not in above}


def _options(files: Sequence[Path]) -> list[str]:
    return [word for file in files for word in ("--values", str(file))]
