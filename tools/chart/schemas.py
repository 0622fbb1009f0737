"""Holds every object against the schema of its kind: Kubernetes' own of each version, or a custom resource's."""

import json
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from tools.chart.helm import HelmError
from tools.chart.manifests import Finding, Manifest, Rendering, named, walk
from tools.chart.render import Chart

VERSIONS = ("1.30", "1.33", "1.34", "1.35", "1.36", "1.37")
"""The oldest Kubernetes that the chart is for, and those that people run."""
TYPED: Mapping[tuple[str, str], str] = {
    **{
        ("monitoring.coreos.com/v1", kind): "prometheus_operator.v1"
        for kind in ("ServiceMonitor", "PodMonitor", "PrometheusRule")
    },
    **{("keda.sh/v1alpha1", kind): "keda.v1alpha1" for kind in ("ScaledObject", "TriggerAuthentication")},
    **{("cert-manager.io/v1", kind): "cert_manager.v1" for kind in ("Certificate", "Issuer")},
}
"""Modules of cloudcoil.models with the classes of custom resources."""
NEWER: Mapping[tuple[str, str], frozenset[str]] = {
    ("ScaledObject", "spec.fallback.behavior"): frozenset(
        ("static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower")
    ),
}
"""Fields that the classes, made from KEDA 2.16, do not know yet, and their values: the behavior came with KEDA 2.17."""
GATEWAY_API = Path(__file__).parent / "gateway-api.yaml"
CLAIMS, IMAGE_VOLUMES = "1.34", "1.35"
"""The first Kubernetes with dynamic resource allocation, and the first that mounts images, without being told to."""


def accepted(chart: Chart, rendering: Rendering, version: str) -> Iterator[Finding]:
    """Rendered for a version of Kubernetes, a scenario is one that it accepts, or is refused where that is too old."""
    try:
        objects = chart.rendered_for(rendering, version).objects
    except HelmError as error:
        if not (_before(version, needs(rendering)) and f"this is v{version}" in str(error)):
            yield Finding(rendering.scenario, f"Kubernetes {version}: {error}")
        return
    for item in objects:
        if message := _fault(json.dumps(item), version=None if is_custom(item) else version):
            yield Finding(f"{rendering.scenario}: {named(item)}", f"Kubernetes {version}: {message}")


@cache
def _fault(item: str, version: str | None) -> str | None:
    """Returns what is wrong with an object, once for all scenarios that have it; custom ones come without a version."""
    return native(json.loads(item), version) if version else custom(json.loads(item))


def needs(rendering: Rendering) -> str:
    """Returns the oldest Kubernetes of our range that does what a rendering wants without being told to."""
    claims = rendering.of("ResourceClaimTemplate")
    images = any("image" in volume for workload in rendering.workloads for volume in workload.pod.get("volumes") or ())
    return max(CLAIMS if claims else VERSIONS[0], IMAGE_VOLUMES if images else VERSIONS[0], key=_number)


def is_custom(item: Manifest) -> bool:
    """Returns whether the object is a custom resource."""
    group = item["apiVersion"].partition("/")[0]
    return ("." in group and not group.endswith(".k8s.io")) or group == "gateway.networking.k8s.io"


def native(item: Manifest, version: str) -> str | None:
    """Returns what Kubernetes' own schema has against the object."""
    import kubernetes_validate  # noqa: PLC0415 (only .venv-chart has it)

    try:
        kubernetes_validate.validate(dict(item), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(str(part) for part in error.path)}: {error.message[:300]}"
    except kubernetes_validate.SchemaNotFoundError:
        return f"has no {item['apiVersion']} {item['kind']}"
    return None


def custom(item: Manifest) -> str | None:
    """Returns what the definition of a custom resource has against the object."""
    if item["apiVersion"].startswith("gateway.networking.k8s.io/"):
        return _against_schema(item)
    module = TYPED.get((item["apiVersion"], item["kind"]))
    if module is None:
        return f"nothing here knows {item['apiVersion']} {item['kind']}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of code that we neither wrote nor call
        model = getattr(import_module(f"cloudcoil.models.{module}"), item["kind"])
    try:
        known = model.model_validate(item).model_dump(mode="json", by_alias=True, exclude_unset=True)
    except ValueError as error:
        return str(error)
    return next((message for path in unknown(item, known) if (message := _newer(item, path))), None)


def _newer(item: Manifest, path: str) -> str | None:
    """Returns what is wrong with a field that the classes do not know."""
    values = NEWER.get((item["kind"], path))
    if values is None:
        return f"{path} is no field of a {item['kind']}"
    *parents, last = path.split(".")
    given = walk(item, *parents)[last]
    return None if given in values else f"{path} is {given!r}, which is none of {', '.join(sorted(values))}"


def unknown(given: Any, known: Any, path: str = "") -> Iterator[str]:
    """Yields the paths of fields that were given and that the model did not take."""
    if isinstance(given, Mapping) and isinstance(known, Mapping):
        for key, value in given.items():
            if key not in known and value is not None:
                yield f"{path}.{key}".lstrip(".")
            else:
                yield from unknown(value, known.get(key), f"{path}.{key}")
    elif isinstance(given, list) and isinstance(known, list):
        for index, (one, other) in enumerate(zip(given, known, strict=False)):
            yield from unknown(one, other, f"{path}[{index}]")


def _against_schema(item: Manifest) -> str | None:
    import jsonschema  # noqa: PLC0415 (only .venv-chart has it)

    schemas = yaml.safe_load(GATEWAY_API.read_text())
    if item["kind"] not in schemas["kinds"]:
        return f"nothing here knows the Gateway API's {item['kind']}"
    if item["apiVersion"] != "gateway.networking.k8s.io/v1":
        return f"is {item['apiVersion']}: the standard channel has v1"
    schema = {"definitions": schemas["definitions"], **schemas["kinds"][item["kind"]]}
    found = jsonschema.Draft7Validator(schema).iter_errors(item["spec"])
    error = jsonschema.exceptions.best_match(found)
    return f"spec.{'.'.join(str(part) for part in error.path)}: {error.message[:300]}" if error else None


def _before(version: str, other: str) -> bool:
    return _number(version) < _number(other)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
