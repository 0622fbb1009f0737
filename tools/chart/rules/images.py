"""Rules on what runs: images and their names, ports, variables, Triton's flags."""

import re
from collections.abc import Iterator

from localcluster.triton_command import MIN_PING_INTERVAL_MS
from servicekit.settings import variable
from tools.chart.manifests import (
    Finding,
    Manifest,
    Rendering,
    Workload,
    in_container,
    process_of,
    texts,
    variable_names,
    walk,
)
from tools.chart.processes import NVIDIAS_TRITON, PORTS, SETTINGS, TOOLS, TRITON, triton_flags

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
HARDENED = frozenset(
    {
        "--allow-http=false",
        "--allow-sagemaker=false",
        "--allow-vertex-ai=false",
        "--model-control-mode=explicit",
        "--disable-auto-complete-config",
        "--strict-readiness=true",
        "--grpc-keepalive-permit-without-calls=1",
        f"--grpc-http2-min-recv-ping-interval-without-data={MIN_PING_INTERVAL_MS}",
    }
)
"""Flags that Triton must be started with, whatever else is chosen."""
ACCEPTED_CONTROL = frozenset({"--model-control-mode=explicit", "--model-control-mode=none"})
HTTP, LOOPBACK = "--allow-http=true", "--http-address=127.0.0.1"
"""HTTP for probes, which know no TLS; the later flag wins."""
RELEASE = re.compile(r":(\d{2})\.(\d{2})\b")
OLDEST_RELEASE = ("26", "07")


def digests(rendering: Rendering) -> Iterator[Finding]:
    """Where the values require digests, every image is named by one; nowhere is a tag missing or `latest`."""
    required = bool(walk(rendering.values, "global").get("requireDigests"))
    for workload in rendering.workloads:
        for container in workload.all_containers:
            where, image = in_container(workload, container), str(container["image"])
            if required and not DIGEST.search(image):
                yield Finding(where, f"its image {image} has no digest")
            tag = image.split("@", maxsplit=1)[0].rsplit("/", 1)[-1].partition(":")[2]
            if tag in ("", "latest") and not DIGEST.search(image):
                yield Finding(where, f"its image {image} names no version")


def known_images(rendering: Rendering) -> Iterator[Finding]:
    """Every container runs an image that Triptych builds, NVIDIA's Triton, or a tool that the values name."""
    foreign = {text for text in texts(rendering.values) if "/" in text}
    for workload in rendering.workloads:
        for container in workload.all_containers:
            repository = str(container["image"]).split("@")[0].rsplit(":", 1)[0]
            ours = process_of(container) in {*SETTINGS, *TRITON, *TOOLS}
            if not ours and not any(repository.endswith(text) for text in foreign):
                yield Finding(in_container(workload, container), f"runs {container['image']}, which no value names")


def triton_recent(rendering: Rendering) -> Iterator[Finding]:
    """NVIDIA's Triton is release 26.07 or newer: older ones let callers in past the locks."""
    for workload in rendering.workloads:
        for container in workload.all_containers:
            if process_of(container) == NVIDIAS_TRITON:
                release = RELEASE.search(container["image"])
                if release is None or release.groups() < OLDEST_RELEASE:
                    yield Finding(in_container(workload, container), f"runs {container['image']}, not 26.07 or newer")


def settings_exist(rendering: Rendering) -> Iterator[Finding]:
    """Every TRIPTYCH_ variable sets a field of that process's settings, and every required field is set."""
    for workload, container in _ours(rendering):
        fields = SETTINGS[process_of(container)].model_fields
        known, given = {variable(name) for name in fields}, list(variable_names(container))
        for name in given:
            if name.startswith("TRIPTYCH_") and name not in known:
                yield Finding(in_container(workload, container), f"{name} sets nothing: no setting has this name")
            if given.count(name) > 1:
                yield Finding(in_container(workload, container), f"{name} is set twice")
        for name, field in fields.items():
            if workload.serves and field.is_required() and variable(name) not in given and not container.get("envFrom"):
                yield Finding(in_container(workload, container), f"{variable(name)} is required and not set")


def ports_listed(rendering: Rendering) -> Iterator[Finding]:
    """Containers list the ports that their process listens on, each with a name."""
    for workload in rendering.serving:
        for container in workload.containers:
            expected = PORTS.get(process_of(container))
            listed = {port["containerPort"] for port in container.get("ports") or ()}
            if expected is not None and listed != expected:
                yield Finding(
                    in_container(workload, container), f"lists the ports {sorted(listed)}, not {sorted(expected)}"
                )
            if any(not port.get("name") for port in container.get("ports") or ()):
                yield Finding(in_container(workload, container), "has a port without a name")


def triton_hardened(rendering: Rendering) -> Iterator[Finding]:
    """Triton starts hardened as `triptych up` does it: administration locked, HTTP off or, for probes, on loopback."""
    for workload in rendering.serving:
        for container in workload.containers:
            if process_of(container) in TRITON:
                for message in _flags_missing(container):
                    yield Finding(in_container(workload, container), message)


def _flags_missing(container: Manifest) -> Iterator[str]:
    flags = set(triton_flags(container))
    for flag in sorted(HARDENED - ACCEPTED_CONTROL - flags):
        if flag != "--allow-http=false" or HTTP not in flags:
            yield f"is started without {flag}"
    if HTTP in flags and LOOPBACK not in flags:
        yield "answers HTTP beyond its own pod"
    if not flags & ACCEPTED_CONTROL:
        yield "lets models be loaded by polling"
    locked = next((flag for flag in flags if flag.startswith("--grpc-restricted-protocol=")), "")
    for group in ("model-repository", "shared-memory", "trace", "logging"):
        if group not in locked:
            yield f"lets every caller use the administrative calls of the group {group}"


def _ours(rendering: Rendering) -> Iterator[tuple[Workload, Manifest]]:
    for workload in rendering.workloads:
        for container in workload.containers:
            if process_of(container) in SETTINGS:
                yield workload, container
