"""Each rule of the auditor finds the manifest that breaks it, and nothing wrong with one that does not."""

from collections.abc import Callable
from typing import Any

import pytest
from fakes.manifests import (
    SECURE,
    budget,
    deployment,
    experiments,
    gateway,
    headless,
    meeting,
    rendering,
    scaler,
    service,
    training,
    triton,
)

from tools.chart.audit import RULES, Rule, audit
from tools.chart.rules import alerts, images, lifecycle, resources, scaling, secrets, security, wiring
from tools.chart.rules import experiments as keeping
from tools.chart.rules import training as workers

KEY = "-----BEGIN " + "PRIVATE KEY-----"
HPA, KEDA = "HorizontalPodAutoscaler", "ScaledObject"
BEHAVIOR = {"scaleUp": {"stabilizationWindowSeconds": 0}, "scaleDown": {"stabilizationWindowSeconds": 300}}


def _pod(**fields: Any) -> dict[str, Any]:
    container = gateway()["spec"]["template"]["spec"]["containers"][0]
    return deployment("gateway", container, **fields)


def _mounting(**volume: Any) -> dict[str, Any]:
    mount = [{"name": "v", "mountPath": "/models"}]
    container = gateway(volumeMounts=mount)["spec"]["template"]["spec"]["containers"][0]
    return deployment("gateway", container, volumes=[{"name": "v", **volume}])


def _env(name: str, **value: Any) -> dict[str, Any]:
    given = gateway()["spec"]["template"]["spec"]["containers"][0]["env"]
    return gateway(env=[*given, {"name": name, **value}])


def _one_replica(manifest: dict[str, Any], replicas: int | None = 1) -> dict[str, Any]:
    spec = {key: value for key, value in manifest["spec"].items() if key != "replicas"}
    return manifest | {"spec": spec | ({} if replicas is None else {"replicas": replicas})}


def _secure(**fields: Any) -> dict[str, Any]:
    return gateway(securityContext=SECURE | fields)


def _laying_out(version: str) -> dict[str, Any]:
    words = ["tensorrt", "none", "9", "/store", "/engines", "/repository", "lite0", version, "f", "s", "k"]
    container = triton()["spec"]["template"]["spec"]["containers"][0]
    return deployment("triton", container, initContainers=[{"name": "lay-out", "args": words}])


def _worker(**fields: Any) -> dict[str, Any]:
    job = training()
    job["spec"]["template"]["spec"]["containers"][0] |= fields
    return job


def _several(**changes: Any) -> dict[str, Any]:
    """Returns an experiments service of three replicas."""
    found = experiments(**changes)
    return found | {"spec": found["spec"] | {"replicas": 3}}


def _without_claim(**fields: Any) -> dict[str, Any]:
    """Returns an experiments service whose pods have other volumes instead."""
    found = experiments()
    found["spec"]["template"]["spec"] |= fields
    return found | {"spec": {key: value for key, value in found["spec"].items() if key != "volumeClaimTemplates"}}


def _alert(expression: str, name: str = "TriptychModelVersionMissing") -> dict[str, Any]:
    rules = [{"alert": name, "expr": expression}]
    return {"kind": "PrometheusRule", "metadata": {"name": "causes"}, "spec": {"groups": [{"rules": rules}]}}


BROKEN: list[tuple[Rule, list[dict[str, Any]], str]] = [
    (security.restricted, [_secure(allowPrivilegeEscalation=True)], "may gain privileges"),
    (security.restricted, [_secure(privileged=True)], "is privileged"),
    (security.restricted, [_secure(capabilities={})], "keeps capabilities"),
    (security.restricted, [_secure(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]})], "adds capabilities"),
    (security.restricted, [_secure(runAsNonRoot=False)], "may run as root"),
    (security.restricted, [_secure(runAsUser=0)], "no user other than root"),
    (security.restricted, [_secure(seccompProfile={"type": "Unconfined"})], "no seccomp profile"),
    (security.restricted, [gateway(ports=[{"containerPort": 1, "hostPort": 1}])], "a port of the node"),
    (security.restricted, [_pod(hostNetwork=True)], "hostNetwork is set"),
    (security.restricted, [_mounting(hostPath={"path": "/"})], "kind hostPath"),
    (security.read_only_root, [_secure(readOnlyRootFilesystem=False)], "may write to its root"),
    (security.no_token, [_pod(automountServiceAccountToken=True)], "mounts a token"),
    (security.bounded_scratch, [_mounting(emptyDir={})], "has no sizeLimit"),
    (security.read_only_models, [_mounting(persistentVolumeClaim={"claimName": "m"})], "mounts /models writable"),
    (secrets.no_plain_secrets, [_env("DB_PASSWORD", value="x")], "DB_PASSWORD has its value"),
    (secrets.no_secrets_rendered, [{"kind": "Secret", "metadata": {"name": "s"}}], "is a Secret made from values"),
    (
        secrets.no_secrets_rendered,
        [{"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": KEY}}],
        "private key",
    ),
    (secrets.no_secrets_rendered, [_env("DB", value="postgres://a:b@db")], "password inside a URL"),
    (resources.resources_set, [gateway(resources={})], "requests no cpu"),
    (resources.resources_set, [gateway(resources={"requests": {"cpu": 1, "memory": 1}})], "no limit of memory"),
    (resources.accelerators_agree, [triton(resources={"limits": {"nvidia.com/gpu": 1}, "claims": [{}]})], "both as"),
    (resources.accelerators_agree, [triton(resources={"requests": {"nvidia.com/gpu": 1}})], "but is limited to"),
    (resources.claims_declared, [triton(resources={"claims": [{"name": "gpu"}]})], "which the pod lacks"),
    (lifecycle.probe_kinds, [gateway(livenessProbe={})], "has no livenessProbe"),
    (lifecycle.probe_kinds, [gateway(readinessProbe={"grpc": {"port": 8081}})], "readinessProbe asks for None"),
    (lifecycle.probe_kinds, [gateway(livenessProbe={"grpc": {"service": "x"}})], "livenessProbe asks for a service"),
    (lifecycle.probe_kinds, [gateway(livenessProbe={"httpGet": {"path": "/readyz"}})], "GET /healthz"),
    (lifecycle.probe_kinds, [triton(livenessProbe={"grpc": {"port": 8001}})], "Check means readiness"),
    (lifecycle.slow_start, [triton(startupProbe={"failureThreshold": 3, "periodSeconds": 10})], "is given 30 s"),
    (lifecycle.probes_and_tls, [_env("TRIPTYCH_EDGE_TLS_CERT_FILE", value="/x")], "although the port speaks TLS"),
    (lifecycle.pause_before_end, [gateway(lifecycle={})], "waits 0 s before SIGTERM"),
    (lifecycle.pause_before_end, [gateway(lifecycle={"preStop": {"exec": {}}})], "the images have no shell"),
    (lifecycle.drain_fits, [_pod(terminationGracePeriodSeconds=25)], "has 25 s of grace for 5 s of preStop, 15.2 s"),
    (lifecycle.drain_fits, [_env("TRIPTYCH_DRAIN_TIMEOUT_S", value="60")], "60.2 s of draining"),
    (lifecycle.drain_fits, [triton(args=["--exit-timeout-secs=60"])], "60 s of draining"),
    (lifecycle.drain_fits, [triton(args=[])], "30 s of draining"),
    (scaling.one_scaler, [_one_replica(gateway(), None), scaler(HPA), scaler(KEDA)], "scales already"),
    (scaling.one_scaler, [scaler(HPA)], "which does not exist"),
    (scaling.replicas_left_out, [gateway(), scaler(HPA)], "every upgrade would undo"),
    (scaling.replicas_left_out, [_one_replica(gateway(), None)], "sets no replicas"),
    (
        scaling.scale_down_slowly,
        [scaler(HPA, behavior={"scaleDown": {"stabilizationWindowSeconds": 5}})],
        "down after 5 s",
    ),
    (scaling.keda_falls_back, [scaler(KEDA, minReplicaCount=1, triggers=[{"type": "prometheus"}])], "has no fallback"),
    (scaling.keda_falls_back, [scaler(KEDA, fallback={"replicas": 2})], "scales to none"),
    (
        scaling.keda_falls_back,
        [scaler(KEDA, minReplicaCount=1, triggers=[{"type": "prometheus"}], fallback={"replicas": 2})],
        "loses replicas when Prometheus does not answer",
    ),
    (scaling.disruption_budgets, [gateway()], "no PodDisruptionBudget"),
    (scaling.disruption_budgets, [_one_replica(gateway()), budget()], "guards a single replica"),
    (scaling.disruption_budgets, [gateway(), budget(maxUnavailable=0)], "lets nothing go"),
    (scaling.disruption_budgets, [gateway(), budget(minAvailable=2)], "wants 2 of 2 replicas"),
    (scaling.disruption_budgets, [budget()], "takes the pods of 0 workloads"),
    (scaling.spread, [_pod(topologySpreadConstraints=[])], "may all share a node"),
    (images.digests, [gateway(image="triptych/gateway")], "names no version"),
    (images.digests, [gateway(image="triptych/gateway:latest")], "names no version"),
    (images.known_images, [gateway(image="docker.io/library/nginx:1")], "which no value names"),
    (images.settings_exist, [_env("TRIPTYCH_PREPROCES_TARGET", value="x")], "TRIPTYCH_PREPROCES_TARGET sets nothing"),
    (images.settings_exist, [_env("TRIPTYCH_INFERENCE_TARGET", value="x")], "is set twice"),
    (images.settings_exist, [gateway(env=[])], "TRIPTYCH_PREPROCESS_TARGET is required"),
    (images.ports_listed, [gateway(ports=[{"name": "grpc", "containerPort": 8081}])], "lists the ports [8081]"),
    (images.triton_hardened, [triton(args=[])], "is started without --allow-http=false"),
    (images.triton_hardened, [triton(args=["--grpc-restricted-protocol=trace:X=-"])], "of the group shared-memory"),
    (
        security.read_only_models,
        [experiments(volumeMounts=[{"name": "data", "mountPath": "/models"}])],
        "mounts /models writable",
    ),
    (secrets.no_plain_secrets, [_env("TRIPTYCH_DATABASE_URL", value="x")], "TRIPTYCH_DATABASE_URL has its value"),
    (keeping.journals_are_apart, [_several()], "each of its 3 replicas keeps a database of its own"),
    (keeping.journals_are_apart, [experiments() | {"kind": "Deployment"}], "is no StatefulSet"),
    (keeping.evidence_stays, [experiments(volumeMounts=[])], "mounts no volume at /data"),
    (keeping.evidence_stays, [_without_claim(volumes=[{"name": "data", "emptyDir": {}}])], "makes no claim for 'data'"),
    (
        keeping.only_admins_change_experiments,
        [_env("TRIPTYCH_EXPERIMENTS_TARGET", value="dns:///x:8081")],
        "TRIPTYCH_EXPERIMENTS_ADMIN is None, not false",
    ),
    (wiring.stateful_sets_have_names, [experiments()], "named after 'triptych-experiments-headless'"),
    (wiring.stateful_sets_have_names, [experiments(), headless("gateway")], "no headless Service of theirs"),
    (workers.workers_meet, [training(parallelism=1), meeting()], "all of its workers at once"),
    (workers.workers_meet, [training()], "no headless Service"),
    (workers.workers_meet, [training(), meeting(selector={"app": "other"})], "no headless Service"),
    (workers.workers_meet, [training(), meeting(publishNotReadyAddresses=False)], "only once they are ready"),
    (workers.workers_meet, [training(completions=3), meeting()], "without --nnodes=3"),
    (workers.workers_meet, [_worker(args=[]), meeting()], "without --master-addr=triptych-training-0.meeting"),
    (workers.workers_go_on, [training(backoffLimitPerIndex=0)], "fail and come again"),
    (workers.workers_go_on, [training(podFailurePolicy={})], "counts a drained node"),
    (workers.workers_go_on, [_worker(args=["--runs=/runs"])], "begins anew"),
    (workers.workers_go_on, [_worker(volumeMounts=[])], "on no claim"),
    (wiring.services_lead_somewhere, [training(completionMode="NonIndexed"), meeting()], "leads to Job/"),
    (images.triton_hardened, [triton(args=["--allow-http=true"])], "answers HTTP beyond its own pod"),
    (images.triton_recent, [triton(image="nvcr.io/nvidia/tritonserver:26.06-py3")], "not 26.07 or newer"),
    (images.triton_recent, [triton(image="nvcr.io/nvidia/tritonserver:25.12-py3")], "not 26.07 or newer"),
    (images.triton_recent, [triton(image="mirror.example/tritonserver:ours")], "not 26.07 or newer"),
    (wiring.selectors_match, [gateway(), deployment("gateway", {})], "takes the pods of"),
    (wiring.services_lead_somewhere, [service()], "leads to no pods"),
    (wiring.services_lead_somewhere, [gateway(), service(target=80)], "leads to 80, where"),
    (wiring.protocols_are_spoken, [gateway(), service(protocol="https")], "says https of http; TLS there: False"),
    (wiring.protocols_are_spoken, [_env("TRIPTYCH_EDGE_TLS_CERT_FILE", value="/x"), service()], "TLS there: True"),
    (wiring.references_exist, [_mounting(configMap={"name": "lost"})], "the ConfigMap 'lost'"),
    (wiring.references_exist, [_mounting(secret={"secretName": "lost"})], "the Secret 'lost'"),
    (wiring.references_exist, [_env("X", valueFrom={"secretKeyRef": {"name": "lost"}})], "the Secret 'lost'"),
    (
        alerts.only_served_versions_are_missed,
        [_laying_out("1"), _alert("max by (version) (triptych_model_version_ready) == 0")],
        "watches every published version",
    ),
    (
        alerts.only_served_versions_are_missed,
        [_laying_out("1"), _alert('max (triptych_model_version_ready{model="lite0",version="2"}) == 0')],
        "does not watch lite0 version 1",
    ),
    (
        alerts.every_pool_is_missed,
        [triton(), _alert('absent(nv_inference_count{pod=~"triptych-triton-cpu-[^-]+-[^-]+"})', "TriptychPoolAway")],
        "does not watch Deployment/triptych-triton",
    ),
    (alerts.own_namespace_is_watched, [_alert("sum by (namespace) (a_b) > 1")], "reads a_b of every namespace"),
    (alerts.own_namespace_is_watched, [_alert('n:a_b{namespace=~".*"}')], "reads n:a_b of every namespace"),
    (wiring.one_namespace, [{"kind": "X", "metadata": {"name": "x", "namespace": "y"}}], "the namespace 'y'"),
    (wiring.unique_names, [gateway(), gateway()], "is rendered twice"),
    (wiring.unique_names, [{"kind": "X", "metadata": {"name": "x" * 64}}], "more than 63"),
]


@pytest.mark.parametrize(("rule", "objects", "words"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_rule_finds_what_breaks_it(rule: Rule, objects: list[dict[str, Any]], words: str) -> None:
    """A manifest that breaks the rule is found, and the finding says how."""
    found = [str(finding) for finding in rule(rendering(*objects))]

    assert any(words in text for text in found), found


def test_sound_release_breaks_no_rule() -> None:
    """A release that is right in every way has no finding under any rule."""
    served = [gateway(), triton(), service(), budget(), budget("triton"), experiments(), headless()]
    sound = rendering(*served, training(), meeting(), claim="runs", networkPolicy={"enabled": False})

    assert [] == [finding for verdict in audit(sound) for finding in verdict.findings]


def test_digests_are_required_where_values_say_so() -> None:
    """With `global.requireDigests` a tag is not enough, and a digest is."""
    tagged, fixed = gateway(), gateway(image="triptych/gateway:0.1.0@sha256:" + "0" * 64)
    required: dict[str, Any] = {"global": {"requireDigests": True}}

    assert 1 == len(list(images.digests(rendering(tagged, **required))))
    assert [] == list(images.digests(rendering(fixed, **required)))


def test_gateway_answers_plainly_with_the_services_certificate() -> None:
    """The certificate that the gateway calls the services with changes nothing about its own ports."""
    release = rendering(_env("TRIPTYCH_TLS_CERT_FILE", value="/x"), service())

    assert [] == [*lifecycle.probes_and_tls(release), *wiring.protocols_are_spoken(release)]


def test_host_path_only_where_values_ask_for_it() -> None:
    """Models may lie on a node's disk when the values say so: the developer's single node."""
    release = rendering(_mounting(hostPath={"path": "/m"}), modelStore={"type": "hostPath"})

    assert [] == list(security.restricted(release))


def test_every_rule_has_a_case_and_a_statement() -> None:
    """No rule goes without a manifest that breaks it, or without a sentence for the report."""
    rules: set[Callable[..., object]] = {rule for group in RULES.values() for rule in group}
    proved = {rule for rule, _, _ in BROKEN}
    elsewhere = {"reachable_only_as_intended", "routes_lead_somewhere", "monitors_find"}

    assert elsewhere == {rule.__name__ for rule in rules - proved}
    assert all((rule.__doc__ or "").endswith(".") for rule in rules)


def test_a_pool_that_serves_the_whole_store_is_watched_whole() -> None:
    """The store's versions are all to answer, so the bare gauge is right."""
    whole = rendering(triton(), _alert("max by (version) (triptych_model_version_ready) == 0"))

    assert [] == list(alerts.only_served_versions_are_missed(whole))


def test_each_pool_and_the_own_namespace_are_sound() -> None:
    """An alert that names the pods of a pool, in the namespace of the release, has no finding."""
    expression = 'absent(nv_inference_count{namespace="triptych",pod=~"triptych-triton-[^-]+-[^-]+"})'
    release = rendering(triton(), _alert(expression, "TriptychPoolAway"))

    assert [] == [*alerts.every_pool_is_missed(release), *alerts.own_namespace_is_watched(release)]


def test_replicas_share_a_database() -> None:
    """Several replicas are sound once a file names the database that they share; one alone may keep its own."""
    named = {"name": "TRIPTYCH_DATABASE_URL_FILE", "value": "/etc/triptych/database/database-url"}
    several = _several(env=[{"name": "TRIPTYCH_DATA_DIR", "value": "/data"}, named])

    assert [] == list(keeping.journals_are_apart(rendering(several, headless())))


def test_values_may_do_without_a_claim() -> None:
    """Without persistence the volume goes with the pod, and a claim would be found."""
    values: dict[str, Any] = {"experiments": {"persistence": {"enabled": False}}}
    gone = _without_claim(volumes=[{"name": "data", "emptyDir": {"sizeLimit": "2Gi"}}])

    assert [] == list(keeping.evidence_stays(rendering(gone, **values)))
    assert ["StatefulSet/triptych-experiments: keeps its volume"] == [
        str(finding) for finding in keeping.evidence_stays(rendering(experiments(), **values))
    ]


def test_slow_scale_down_is_sound() -> None:
    """An autoscaler that takes five minutes' load to go down has no finding."""
    assert [] == list(scaling.scale_down_slowly(rendering(scaler(HPA, behavior=BEHAVIOR))))
