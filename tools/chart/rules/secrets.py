"""Rules on secrets: only ever by reference, and never where anybody who can read a pod can read them."""

import re
from collections.abc import Iterator

from tools.chart.manifests import Finding, Rendering, environment, in_container, named

SECRET_NAME = re.compile(
    r"(PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|ACCESS_KEY|API_KEY|PRIVATE_KEY|DSN|DATABASE_URL)", re.IGNORECASE
)
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^/\s:@]+:[^/\s:@]+@")


def no_plain_secrets(rendering: Rendering) -> Iterator[Finding]:
    """No variable whose name sounds like a secret has its value in the manifest."""
    for workload in rendering.workloads:
        for container in workload.all_containers:
            for name in environment(container):
                if SECRET_NAME.search(name) and not name.endswith("_FILE"):
                    yield Finding(in_container(workload, container), f"{name} has its value in the manifest")


def no_secrets_rendered(rendering: Rendering) -> Iterator[Finding]:
    """The chart makes no Secret, and no object holds a private key or a password in a URL."""
    for item in rendering.objects:
        if item["kind"] == "Secret":
            yield Finding(named(item), "is a Secret made from values: its content would lie in the release's history")
        if PRIVATE_KEY.search(str(item)):
            yield Finding(named(item), "holds a private key, or a password inside a URL")
