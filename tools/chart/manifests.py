"""Gives names to the parts of rendered objects that rules ask about."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Manifest = Mapping[str, Any]
"""One Kubernetes object, as parsed."""
COMPONENT = "app.kubernetes.io/component"
POD_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
SERVING = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True)
class Finding:
    """Says what one object does wrong."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True)
class Workload:
    """Is an object that makes pods."""

    manifest: Manifest

    @property
    def kind(self) -> str:
        """Returns the kind of the object."""
        return str(self.manifest["kind"])

    @property
    def name(self) -> str:
        """Returns the object's name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def where(self) -> str:
        """Returns how findings call it."""
        return named(self.manifest)

    @property
    def serves(self) -> bool:
        """Returns whether it runs until it is told to stop."""
        return self.kind in SERVING

    @property
    def indexed(self) -> bool:
        """Returns whether its pods are numbered workers that do one thing together."""
        return self.kind == "Job" and walk(self.manifest, "spec").get("completionMode") == "Indexed"

    @property
    def template(self) -> Manifest:
        """Returns the pod's metadata and spec."""
        return walk(self.manifest, *POD_TEMPLATES[self.kind])

    @property
    def pod(self) -> Manifest:
        """Returns the pod's spec."""
        return walk(self.template, "spec")

    @property
    def labels(self) -> Mapping[str, str]:
        """Returns the labels of its pods."""
        return walk(self.template, "metadata", "labels")

    @property
    def component(self) -> str:
        """Returns which part of Triptych it is; its name when it does not say."""
        return self.labels.get(COMPONENT, self.name)

    @property
    def claims(self) -> Sequence[str]:
        """Returns the names of the volumes of which each of its pods gets one of its own that stays."""
        return [item["metadata"]["name"] for item in walk(self.manifest, "spec").get("volumeClaimTemplates") or ()]

    @property
    def containers(self) -> Sequence[Manifest]:
        """Returns the containers that serve."""
        return self.pod.get("containers") or ()

    @property
    def all_containers(self) -> Sequence[Manifest]:
        """Returns those that start before them, too."""
        return [*(self.pod.get("initContainers") or ()), *self.containers]


@dataclass(frozen=True)
class Rendering:
    """Is what one scenario renders to, and the values it was rendered from."""

    scenario: str
    objects: Sequence[Manifest]
    values: Mapping[str, Any] = field(default_factory=dict)
    namespace: str = "triptych"
    release: str = "triptych"
    notes: str = ""

    def of(self, *kinds: str) -> list[Manifest]:
        """Returns the objects of these kinds."""
        return [item for item in self.objects if item["kind"] in kinds]

    @cached_property
    def workloads(self) -> list[Workload]:
        """Returns whatever makes pods, tests and jobs too."""
        return [Workload(item) for item in self.objects if item["kind"] in POD_TEMPLATES]

    @cached_property
    def serving(self) -> list[Workload]:
        """Returns the workloads that serve."""
        return [workload for workload in self.workloads if workload.serves]


def walk(manifest: Manifest, *path: str) -> Mapping[str, Any]:
    """Returns the mapping under the path; an empty one where there is none."""
    found: Any = manifest
    for key in path:
        found = (found or {}).get(key)
    return found or {}


def named(manifest: Manifest) -> str:
    """Returns kind and name."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def in_container(workload: Workload, container: Manifest) -> str:
    """Returns how findings call a container."""
    return f"{workload.where}/{container['name']}"


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Returns whether a label selector takes the labels, as the API server decides it; an empty one takes all."""
    selector = selector or {}
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case operator:
            raise ValueError(f"no label selector knows the operator {operator!r}")


def environment(container: Manifest) -> dict[str, str]:
    """Returns the variables that the container is given as plain text."""
    return {item["name"]: str(item["value"]) for item in container.get("env") or () if "value" in item}


def variable_names(container: Manifest) -> Iterator[str]:
    """Yields the names of all its variables, however they are given."""
    yield from (item["name"] for item in container.get("env") or ())


def process_of(container: Manifest) -> str:
    """Returns the last part of the image's name: the process that runs in it."""
    return str(container["image"]).split("@")[0].rsplit("/", 1)[-1].split(":")[0]


def texts(values: object) -> set[str]:
    """Returns every text in the values, at any depth."""
    if isinstance(values, str):
        return {values}
    if isinstance(values, Mapping):
        return {text for value in values.values() for text in texts(value)}
    if isinstance(values, Sequence):
        return {text for value in values for text in texts(value)}
    return set()
