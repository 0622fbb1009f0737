"""The chart's values name what the repository holds."""

import json
import tomllib
from pathlib import Path

from servicekit.manifest import read_repository
from tools.chart.values import CHART, VALUES, read_values

ROOT = Path(__file__).parents[2]


def test_chart_has_the_version_of_the_project() -> None:
    """Chart and images have one version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = dict(line.split(": ", 1) for line in (CHART / "Chart.yaml").read_text().splitlines() if ": " in line)
    assert (version, f'"{version}"') == (chart["version"], chart["appVersion"])


def test_engines_are_built_of_the_committed_models() -> None:
    """The sha256 of each engine's ONNX file is the one in the model's manifest."""
    manifest = read_repository(ROOT / "triton_models")["efficientnet_lite0"]
    artifact = manifest.versions["1"].artifacts["cpu"]
    text = VALUES.read_text()
    assert f"sha256: {artifact.sha256}\n" in text
    assert f"file: {artifact.file}\n" in text


def test_schema_knows_every_value() -> None:
    """Every key of values.yaml is in the schema, and no object of it takes others."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    for value in read_values(VALUES.read_text()):
        place = schema
        for key in value.path:
            place = place if "$ref" not in place else schema["definitions"][place["$ref"].rsplit("/", 1)[-1]]
            if isinstance(place.get("additionalProperties"), dict) or "properties" not in place:
                break  # a map, or Kubernetes' own
            assert key in place["properties"], value.path
            place = place["properties"][key]
