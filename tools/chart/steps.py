"""Checks that render the chart more than once, or hold it against another file of the repository."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.chart.helm import ROOT
from tools.chart.manifests import Finding, Manifest, Rendering, environment, matches, named, process_of, walk
from tools.chart.processes import SETTINGS, TRITON, triton_flags
from tools.chart.render import Chart, parse
from tools.chart.rules.secrets import SECRET_NAME
from tools.chart.rules.wiring import one_namespace

COMPOSE = ROOT / "docker-compose.yml"
CANARY = "canary-3f9c1e"
LEADS_TO = {"TRIPTYCH_EXPERIMENTS_TARGET": "experiments"}
"""Variables that lead to a component which values may leave out."""
NAMES_OF_SECRETS = ("existingSecret", "existingSecrets", "imagePullSecrets", "clientCASecret")
"""Keys whose values name Secrets: names may be seen, in references and nowhere else."""


def same_twice(chart: Chart) -> Iterator[Finding]:
    """A scenario renders to the same bytes each time."""
    for scenario, files in chart.scenarios().items():
        if chart.text(files) != chart.text(files):
            yield Finding(scenario, "differs from one rendering to the next")


def same_elsewhere(chart: Chart) -> Iterator[Finding]:
    """Two releases share no name in one namespace, take none of each other's pods, and go into any namespace."""
    for scenario, files in chart.scenarios().items():
        first = Rendering(scenario, parse(chart.text(files)))
        second = Rendering(scenario, parse(chart.text(files, release="second")))
        moved = Rendering(scenario, parse(chart.text(files, namespace="moved-away")), namespace="moved-away")
        kept = {named(item) for item in first.objects} & {named(item) for item in second.objects}
        yield from (Finding(scenario, f"two releases would share {name}") for name in sorted(kept))
        yield from (Finding(scenario, f"{name} of one release takes pods of another") for name in _takes(second, first))
        yield from one_namespace(moved)
        for item in moved.objects:
            for namespace in set(re.findall(r"\.([a-z0-9-]+)\.svc\b", str(item))) - {"moved-away", "monitoring"}:
                yield Finding(f"{scenario}: {named(item)}", f"calls a service of the namespace {namespace!r}")


def _takes(taker: Rendering, other: Rendering) -> Iterator[str]:
    for item in taker.of("Deployment", "StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
        spec = walk(item, "spec")
        selector = spec.get("podSelector") if item["kind"] == "NetworkPolicy" else spec.get("selector")
        selector = {"matchLabels": selector} if item["kind"] == "Service" else selector
        if any(matches(selector, workload.labels) for workload in other.workloads):
            yield named(item)


def canaries_stay_out(chart: Chart, scratch: Path) -> Iterator[Finding]:
    """No value holds a secret itself; what names one is seen only where Kubernetes wants the name."""
    for path in paths(chart.values(())):
        if SECRET_NAME.search(path[-1]) and not set(path) & set(NAMES_OF_SECRETS):
            yield Finding(".".join(path), "sounds like a value that holds a secret: take the name of one instead")
    for scenario, files in chart.scenarios().items():
        file = scratch / "canaries.yaml"
        file.write_text(yaml.safe_dump(with_canaries(chart.values(files))))
        for item in parse(chart.text([*files, file])):
            for path in leaks(item):
                yield Finding(f"{scenario}: {named(item)}", f"the name of a secret is seen in {'.'.join(path)}")


def with_canaries(values: Any, key: str = "") -> Any:
    """Returns the values that name Secrets, each name replaced by a canary; all else is left out."""
    if isinstance(values, Mapping):
        inner = {name: with_canaries(value, key if key in NAMES_OF_SECRETS else name) for name, value in values.items()}
        return {name: value for name, value in inner.items() if value not in (None, {}, [])}
    if key == "imagePullSecrets":
        return [{"name": CANARY} for _ in values]
    return CANARY if isinstance(values, str) and values and key in NAMES_OF_SECRETS else None


def leaks(item: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yields where a canary is, other than in the fields by which objects refer to a Secret."""
    if isinstance(item, Mapping):
        for key, value in item.items():
            yield from leaks(value, (*path, str(key)))
    elif isinstance(item, list):
        for index, value in enumerate(item):
            yield from leaks(value, (*path, str(index)))
    elif CANARY in str(item) and path[-1] not in ("secretName", "name"):
        yield path


def paths(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yields the path of every key."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield (*path, str(key))
            yield from paths(value, (*path, str(key)))


def readme_values_exist(chart: Chart) -> Iterator[Finding]:
    """Every value that the chart's README names in code exists, and no value is left out of its table."""
    readme = chart.folder / "README.md"
    if not readme.exists():
        yield Finding("README.md", "the chart has none")
        return
    text, values = readme.read_text(), chart.values(())
    for name in sorted(set(re.findall(r"`([a-z]\w*(?:\.\w+)+)`", text))):
        head, *rest = name.split(".")
        if head in values and not _exists(values, [head, *rest]):
            yield Finding("README.md", f"names {name}, which is no value")
    for key in values:
        if f"`{key}" not in text:
            yield Finding("README.md", f"does not say what {key} is")


def _exists(values: Any, path: list[str]) -> bool:
    """Returns whether the path leads to a value; lists, empty mappings and shared sections are not followed."""
    for index, key in enumerate(path):
        if not isinstance(values, Mapping) or not values:
            return index > 0
        if key not in values:
            return index == 1 and path[0] in SETTINGS
        values = values[key]
    return True


def same_as_compose(renderings: Iterable[Rendering]) -> Iterator[Finding]:
    """Compose and the chart run the same images, give them the same variables and ports, and start Triton alike."""
    services: Mapping[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    serving = [service for service in services.values() if service.get("restart") != "no"]
    ours = {process_of({"image": expand(service["image"])}): service for service in serving}
    for rendering in renderings:
        components = {workload.component for workload in rendering.serving}
        left_out = {name for name, component in LEADS_TO.items() if component not in components}
        for workload in rendering.serving:
            for container in workload.containers:
                process = process_of(container)
                if process in SETTINGS or process in TRITON:
                    where = f"{rendering.scenario}: {workload.where}"
                    yield from (Finding(where, message) for message in differences(ours[process], container, left_out))


def differences(service: Manifest, container: Manifest, left_out: Container[str] = ()) -> Iterator[str]:
    """Yields where a service of compose and a container of the chart differ, but for variables that are left out."""
    image, other = (str(expand(item["image"])).split("@")[0] for item in (service, container))
    if not f"/{other}".endswith(f"/{image}"):  # `global.imageRegistry` may stand before it
        yield f"runs {other}, compose {image}"
    given = environment(container)
    for name, value in (service.get("environment") or {}).items():
        if name in left_out:
            continue
        if value is not None and name not in given and name.startswith("TRIPTYCH_"):
            yield f"does not set {name}, which compose sets"
        if value is not None and name.endswith(("_TARGET", "_TARGETS")):
            ends = {(target.split(":///")[0], target.rsplit(":", 1)[-1]) for target in given.get(name, "").split(",")}
            if ends != {(str(value).split(":///")[0], str(value).rsplit(":", 1)[-1])}:
                yield f"{name} is {given.get(name)}, in compose {value}"
    for port in service.get("ports") or ():
        if int(str(port).rsplit(":", 1)[-1]) not in {item["containerPort"] for item in container["ports"]}:
            yield f"does not list the port {port}, which compose publishes"
    if service.get("command"):
        yield from _flags_differ(set(map(str, service["command"])), set(triton_flags(container)))


FREE_FLAGS = (
    "--load-model",
    "--exit-timeout-secs",
    "--model-repository",
    "--pinned-memory",
    "--trace-config",
    "--allow-http=",
    "--http-",
    "--grpc-use-ssl",
    "--grpc-server",
    "--grpc-root",
)
"""Flags that depend on values, and so need not be the same."""


def _flags_differ(compose: set[str], chart: set[str]) -> Iterator[str]:
    for flag in sorted(compose ^ chart):
        if flag.startswith("--") and not flag.startswith(FREE_FLAGS):
            yield f"Triton's {flag} is {'only compose' if flag in compose else 'only the chart'}'s"


def expand(text: str) -> str:
    """Returns the text with compose's variables replaced by their defaults."""
    return re.sub(r"\$\{\w+(?::?[-+]([^}]*))?\}", lambda match: "" if "+" in match[0] else match[1] or "", text)
