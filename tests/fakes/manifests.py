"""Is a small release as a chart would render it, right in every way, for tests that spoil one thing of it."""

from copy import deepcopy
from typing import Any

from tools.chart.manifests import Rendering

LABELS = {"app.kubernetes.io/name": "triptych", "app.kubernetes.io/instance": "triptych"}
SECURE = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
TIERS = ("preprocess", "inference", "postprocess")
HARDENED = (
    "--allow-http=false",
    "--allow-sagemaker=false",
    "--allow-vertex-ai=false",
    "--model-control-mode=explicit",
    "--disable-auto-complete-config",
    "--strict-readiness=true",
    "--grpc-keepalive-permit-without-calls=1",
    "--grpc-http2-min-recv-ping-interval-without-data=5000",
    "--grpc-restricted-protocol=model-repository,shared-memory,trace,logging:NOBODY=-",
    "--exit-timeout-secs=10",
)


def rendering(*objects: dict[str, Any], **values: Any) -> Rendering:
    """Returns a rendering of these objects."""
    return Rendering("fixture", objects, values)


def gateway(**changes: Any) -> dict[str, Any]:
    """Returns the gateway's Deployment; `changes` replace fields of its container."""
    ports = [{"name": "http", "containerPort": 8080}, {"name": "grpc", "containerPort": 8081}]
    env = {f"TRIPTYCH_{tier.upper()}_TARGET": f"link:///triptych-{tier}-headless:8082" for tier in TIERS}
    container = {
        "name": "gateway",
        "image": "triptych/gateway:0.1.0",
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "ports": [*ports, {"name": "metrics", "containerPort": 9464}],
        "securityContext": deepcopy(SECURE),
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "livenessProbe": {"grpc": {"port": 8081}},
        "readinessProbe": {"grpc": {"port": 8081, "service": "triptych.classification.v1.ClassificationService"}},
    }
    return deployment("gateway", container | changes)


def triton(**changes: Any) -> dict[str, Any]:
    """Returns the Deployment of a Triton on a GPU; `changes` replace fields of its container."""
    container = {
        "name": "triton",
        "image": "nvcr.io/nvidia/tritonserver:26.09-py3",
        "command": ["tritonserver"],
        "args": list(HARDENED),
        "ports": [{"name": "grpc", "containerPort": 8001}, {"name": "metrics", "containerPort": 8002}],
        "securityContext": deepcopy(SECURE),
        "resources": {
            "requests": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": 1},
            "limits": {"memory": "1Gi", "nvidia.com/gpu": 1},
        },
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "startupProbe": {"grpc": {"port": 8001}, "failureThreshold": 60, "periodSeconds": 5},
        "livenessProbe": {"tcpSocket": {"port": 8001}},
        "readinessProbe": {"grpc": {"port": 8001}},
    }
    return deployment("triton", container | changes)


def experiments(**changes: Any) -> dict[str, Any]:
    """Returns the StatefulSet of the experiments service, of one replica; `changes` replace fields of its container."""
    container = {
        "name": "experiments",
        "image": "triptych/experiments:0.1.0",
        "env": [{"name": "TRIPTYCH_DATA_DIR", "value": "/data"}],
        "ports": [{"name": "grpc", "containerPort": 8081}, {"name": "metrics", "containerPort": 9464}],
        "securityContext": deepcopy(SECURE),
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "livenessProbe": {"grpc": {"port": 8081}},
        "readinessProbe": {"grpc": {"port": 8081, "service": "triptych.experiments.v1.ExperimentService"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    found = deployment("experiments", container | changes)
    own = {
        "replicas": 1,
        "serviceName": "triptych-experiments-headless",
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}],
    }
    return found | {"kind": "StatefulSet", "spec": found["spec"] | own}


def deployment(component: str, container: dict[str, Any], **pod: Any) -> dict[str, Any]:
    """Returns a Deployment of one container and two replicas; `pod` replaces fields of the pod's spec."""
    labels = {**LABELS, "app.kubernetes.io/component": component}
    spread = {
        "topologyKey": "kubernetes.io/hostname",
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 30,
        "topologySpreadConstraints": [spread],
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"triptych-{component}", "namespace": "triptych"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec | pod},
        },
    }


def training(**changes: Any) -> dict[str, Any]:
    """Returns the Indexed Job of two workers that train together; `changes` replace fields of its spec."""
    words = ["--nnodes=2", "--node-rank=$(JOB_COMPLETION_INDEX)", "--master-addr=triptych-training-0.meeting"]
    container = {
        "name": "train",
        "image": "triptych/modelkit:0.1.0",
        "args": [*words, "-m", "triptych.cli", "--resume", "--runs=/runs"],
        "ports": [{"name": "rendezvous", "containerPort": 29500}],
        "securityContext": deepcopy(SECURE),
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "volumeMounts": [{"name": "runs", "mountPath": "/runs"}],
    }
    labels = {**LABELS, "app.kubernetes.io/component": "training"}
    pod = {
        "automountServiceAccountToken": False,
        "subdomain": "meeting",
        "containers": [container],
        "volumes": [{"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}}],
    }
    ignored = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    spec = {
        "completionMode": "Indexed",
        "completions": 2,
        "parallelism": 2,
        "backoffLimitPerIndex": 6,
        "podFailurePolicy": {"rules": [ignored]},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "triptych-training", "namespace": "triptych"},
        "spec": spec | changes,
    }


def meeting(**changes: Any) -> dict[str, Any]:
    """Returns the headless Service that gives the workers names; `changes` replace fields of its spec."""
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {**LABELS, "app.kubernetes.io/component": "training"},
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "meeting"}, "spec": spec | changes}


def budget(component: str = "gateway", **spec: Any) -> dict[str, Any]:
    """Returns the PodDisruptionBudget of a component."""
    selector = {"matchLabels": {**LABELS, "app.kubernetes.io/component": component}}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": f"triptych-{component}"},
        "spec": {"selector": selector, **(spec or {"maxUnavailable": 1})},
    }


def scaler(kind: str = "HorizontalPodAutoscaler", component: str = "gateway", **spec: Any) -> dict[str, Any]:
    """Returns an autoscaler of a component."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"triptych-{component}"}
    return {
        "apiVersion": "autoscaling/v2" if kind.startswith("Horizontal") else "keda.sh/v1alpha1",
        "kind": kind,
        "metadata": {"name": f"triptych-{component}"},
        "spec": {"scaleTargetRef": target, **spec},
    }


def headless(component: str = "experiments") -> dict[str, Any]:
    """Returns the headless Service of a component."""
    found = service(component, port=8081, target="grpc")
    ports = [{"name": "grpc", "port": 8081, "targetPort": "grpc"}]
    metadata = found["metadata"] | {"name": f"triptych-{component}-headless"}
    return found | {"metadata": metadata, "spec": found["spec"] | {"clusterIP": "None", "ports": ports}}


def service(
    component: str = "gateway", *, port: int = 8080, target: int | str = "http", protocol: str = "http"
) -> dict[str, Any]:
    """Returns a Service that leads to a component."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"triptych-{component}", "labels": dict(LABELS)},
        "spec": {
            "selector": {**LABELS, "app.kubernetes.io/component": component},
            "ports": [{"name": "http", "port": port, "targetPort": target, "appProtocol": protocol}],
        },
    }
