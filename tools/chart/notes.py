"""Reads the commands that the chart tells people to run, and looks whether what they name exists."""

import re
import shlex
from collections.abc import Iterator, Sequence

from tools.chart.manifests import Finding, Rendering, named, walk

FORWARD = re.compile(r"^(?:svc|service)/(?P<name>.+)$")
KINDS = {
    "svc": "Service",
    "service": "Service",
    "deploy": "Deployment",
    "deployment": "Deployment",
    "pvc": "PersistentVolumeClaim",
}
PROGRAMS = ("kubectl", "helm", "curl", "grpcurl", "triptych")


def commands(notes: str) -> list[list[str]]:
    """Returns the commands in the text, split into words; a trailing backslash continues a line."""
    lines = notes.replace("\\\n", " ").splitlines()
    found = [line.strip().removeprefix("$ ").rstrip("&").split(" | ")[0] for line in lines]
    return [shlex.split(line) for line in found if line.split(" ")[0] in PROGRAMS]


def notes_work(rendering: Rendering) -> Iterator[Finding]:
    """The commands that are printed after an installation name objects and ports that exist."""
    told = commands(rendering.notes)
    if not told:
        yield Finding("NOTES.txt", "tells no command")
    if _tested(rendering) != (["helm", "test", rendering.release] in [words[:3] for words in told]):
        yield Finding("NOTES.txt", "leaves `helm test` out, or names it where nothing tests the release")
    forwarded: set[str] = set()
    for words in told:
        text = shlex.join(words)
        if words[0] == "kubectl":
            yield from (Finding("NOTES.txt", f"{text}: {message}") for message in _kubectl(rendering, words, forwarded))
        if words[0] in ("kubectl", "helm") and not _in_namespace(rendering, words):
            yield Finding("NOTES.txt", f"{text}: does not name the namespace")
        yield from (
            Finding("NOTES.txt", f"{text}: nothing forwards the port {port}") for port in _missed(words, forwarded)
        )
    if re.search(r"<[a-z]+>|<no value>|%!", rendering.notes):
        yield Finding("NOTES.txt", "has a gap that a template left")


def _kubectl(rendering: Rendering, words: Sequence[str], forwarded: set[str]) -> Iterator[str]:
    """Yields what is wrong with a kubectl command, and notes the ports that it forwards."""
    for word in words[1:]:
        kind, slash, name = word.partition("/")
        if slash and kind in KINDS and name not in {item["metadata"]["name"] for item in rendering.of(KINDS[kind])}:
            yield f"there is no {KINDS[kind]} {name!r}"
    if "port-forward" not in words:
        return
    service = next((match["name"] for word in words if (match := FORWARD.match(word))), "")
    item = next((item for item in rendering.of("Service") if item["metadata"]["name"] == service), {})
    ports = {str(port["port"]) for port in walk(item, "spec").get("ports") or ()} | {
        str(port.get("name")) for port in walk(item, "spec").get("ports") or ()
    }
    for word in words:
        if match := re.fullmatch(r"(\d+):(\w[\w-]*)", word):
            forwarded.add(match[1])
            if match[2] not in ports:
                yield f"{named(item) if item else 'the Service'} has no port {match[2]}"


def _tested(rendering: Rendering) -> bool:
    return any(workload.component == "test" for workload in rendering.workloads)


def _in_namespace(rendering: Rendering, words: Sequence[str]) -> bool:
    return rendering.namespace in words or f"--namespace={rendering.namespace}" in words


def _missed(words: Sequence[str], forwarded: set[str]) -> Iterator[str]:
    """Yields ports of this machine that a command calls and that nothing before it forwards."""
    if words[0] in ("curl", "grpcurl", "triptych"):
        for port in re.findall(r"(?:localhost|127\.0\.0\.1):(\d+)", " ".join(words)):
            if port not in forwarded:
                yield port
