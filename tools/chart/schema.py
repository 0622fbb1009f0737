"""Writes the chart's values.schema.json (draft-07); `--check` fails when the file differs.

Shapes are said here once; what `config` may hold comes from the settings classes, descriptions from values.yaml.
"""

import argparse
import json
import sys
from typing import Any

from servicekit.settings import ProcessSettings
from tools.chart.values import CHART, VALUES, comments
from tools.document_settings import SERVICES

SCHEMA = CHART / "values.schema.json"
GIVEN = (
    "host",
    "port",
    "tls_",
    "edge_tls_",
    "otlp_",
    "trace_",
    "drain_",
    "announce_",
    "link_",
    "http_port",
    "model_repo",
    "trusted_keys",
)
"""Beginnings of settings that the chart itself sets."""
GIVEN_ENDS = ("_target", "_targets", "metrics_port")

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
STRINGS: Schema = {"type": "array", "items": STRING}
MAP: Schema = {"type": "object", "additionalProperties": STRING}
FREE: Schema = {"type": "object"}
"""Kubernetes' own, which Kubernetes checks."""
SECONDS: Schema = {"type": "number", "minimum": 0}
WHOLE_SECONDS: Schema = {"type": "integer", "minimum": 0}
NAME: Schema = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
OPTIONAL_NAME: Schema = {"type": "string", "pattern": "^([a-z0-9]([-.a-z0-9]*[a-z0-9])?)?$", "maxLength": 253}
QUANTITY: Schema = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"}
DURATION: Schema = {"type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(h|m|s|ms))+$"}
URL_OR_NONE: Schema = {"type": "string", "pattern": "^(https?://.+)?$"}
PATHS: Schema = {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^/"}}
SPREAD: Schema = {"enum": ["DoNotSchedule", "ScheduleAnyway", ""]}
DEVICE: Schema = {"type": "string", "pattern": "^nvidia\\.com/(gpu(\\.shared)?|mig-[0-9]+g\\.[0-9]+gb(\\.me)?)$"}
COUNT_OR_SHARE: Schema = {
    "oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^(100|[0-9]{1,2})%$"}]
}


def ref(name: str) -> Schema:
    """Refers to a definition."""
    return {"$ref": f"#/definitions/{name}"}


def whole(least: int = 0, most: int | None = None) -> Schema:
    """Is a whole number."""
    return {"type": "integer", "minimum": least} | ({} if most is None else {"maximum": most})


def either(schema: Schema) -> Schema:
    """Is a value, or null."""
    choices = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | choices | {"type": [schema["type"], "null"]}


def objects(*required: str) -> Schema:
    """Is a list of Kubernetes' own objects."""
    return {"type": "array", "items": {"type": "object", "required": list(required)} if required else FREE}


def section(**properties: Schema) -> Schema:
    """Is an object with these keys and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def camel(name: str) -> str:
    """Turns `max_image_bytes` into `maxImageBytes`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def config(cls: type[ProcessSettings]) -> Schema:
    """Returns what the settings of a process may be told in values; null leaves a default as it is."""
    fields = cls.model_json_schema()["properties"]
    told = {
        name: field for name, field in fields.items() if not name.startswith(GIVEN) and not name.endswith(GIVEN_ENDS)
    }
    return section(**{camel(name): _setting(field) for name, field in told.items()})


def _setting(field: Schema) -> Schema:
    kept: Schema = {
        key: field[key] for key in ("type", "enum", "minimum", "maximum", "exclusiveMinimum") if key in field
    }
    return {"description": " ".join(field.get("description", "").split()), **either(kept)}


def definitions() -> Schema:
    """Returns what several sections share."""
    return {
        "image": section(
            registry=STRING,
            repository={"type": "string", "minLength": 1},
            tag=STRING,
            digest={"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
        ),
        "resources": section(requests=ref("quantities"), limits=ref("quantities"), claims=objects("name")),
        "quantities": {
            "type": "object",
            "additionalProperties": {"oneOf": [{"type": "string"}, {"type": "number", "minimum": 0}]},
        },
        "lifecycle": section(
            preStopSeconds=WHOLE_SECONDS,
            drainDelaySeconds=SECONDS,
            drainTimeoutSeconds={"type": "number", "exclusiveMinimum": 0},
            marginSeconds=WHOLE_SECONDS,
            terminationGracePeriodSeconds=either(WHOLE_SECONDS),
        ),
        "probes": section(startupSeconds=whole(2), livenessPeriodSeconds=whole(1), readinessPeriodSeconds=whole(1)),
        "strategy": section(maxSurge=COUNT_OR_SHARE, maxUnavailable=COUNT_OR_SHARE),
        "autoscaling": section(
            type={"enum": ["none", "hpa", "keda"]},
            minReplicas=whole(1),
            maxReplicas=whole(1),
            targetCPUUtilizationPercentage=whole(1, 100),
            metrics=objects("type"),
            behavior=section(scaleUp=FREE, scaleDown=FREE),
            keda=section(
                pollingInterval=whole(1),
                cooldownPeriod=whole(),
                targetUtilization={"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                pendingRequestsPerReplica={"type": "number", "exclusiveMinimum": 0},
                fallback=section(
                    failureThreshold=whole(1),
                    replicas=either(whole(1)),
                    behavior={
                        "enum": ["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]
                    },
                ),
                triggers=objects("type", "metadata"),
            ),
        ),
        "podDisruptionBudget": section(enabled=BOOLEAN, maxUnavailable=COUNT_OR_SHARE),
        "topologySpread": section(host=SPREAD, zone=SPREAD),
        "service": section(type={"enum": ["ClusterIP", "NodePort", "LoadBalancer"]}, annotations=MAP),
        "issuerRef": section(name=OPTIONAL_NAME, kind=STRING, group=STRING),
        "peers": {"type": "array", "items": section(namespaceSelector=FREE, podSelector=FREE, ipBlock=FREE)},
        "user": either(whole(1)),
    }


def shared() -> Schema:
    """Returns the keys that `defaults`, every tier and every pool have."""
    return {
        "replicas": whole(),
        "minReadySeconds": WHOLE_SECONDS,
        "lifecycle": ref("lifecycle"),
        "probes": ref("probes"),
        "strategy": ref("strategy"),
        "autoscaling": ref("autoscaling"),
        "podDisruptionBudget": ref("podDisruptionBudget"),
        "topologySpread": ref("topologySpread"),
        "tmpSizeLimit": QUANTITY,
        "priorityClassName": OPTIONAL_NAME,
        "runtimeClassName": OPTIONAL_NAME,
        "nodeSelector": MAP,
        "tolerations": objects(),
        "affinity": FREE,
        "podAnnotations": MAP,
        "podLabels": MAP,
        "extraEnv": objects("name"),
        "extraVolumes": objects("name"),
        "extraVolumeMounts": objects("name", "mountPath"),
    }


def tier(name: str) -> Schema:
    """Returns the section of a tier."""
    own = {
        "image": ref("image"),
        "resources": ref("resources"),
        "service": ref("service"),
        "config": config(SERVICES[name]),
    }
    return section(**own, **shared())


def triton_server(**more: Schema) -> Schema:
    """Returns the keys of what a backend brings, and of a pool."""
    return {
        "image": ref("image"),
        "resources": ref("resources"),
        "command": STRINGS,
        "extraArgs": STRINGS,
        "user": ref("user"),
        **shared(),
        **more,
    }


def gpu() -> Schema:
    """Returns how a pool gets its GPUs."""
    return section(
        count=whole(1),
        resourceName=DEVICE,
        product=STRING,
        productLabel=STRING,
        dra=section(enabled=BOOLEAN, deviceClassName=NAME | {"pattern": "^[-.a-z0-9]+$"}, selectors=STRINGS),
    )


def engine() -> Schema:
    """Returns what runs the models of a pool of GPUs."""
    model = section(
        name=NAME | {"pattern": "^[a-z0-9][a-z0-9_.-]{0,62}$"},
        version={"type": "string", "pattern": "^[1-9][0-9]*$"},
        file={"type": "string", "pattern": "^[^/].*\\.onnx$"},
        sha256={"type": "string", "pattern": "^[0-9a-f]{64}$"},
    )
    return section(
        kind={"enum": ["onnxruntime", "tensorrt"]},
        fallback={"enum": ["onnxruntime", "openvino", "none"]},
        waitSeconds=WHOLE_SECONDS,
        build={"enum": ["job", "init"]},
        models={"type": "array", "minItems": 1, "items": model | {"required": [*model["properties"]]}},
        flags={"type": "array", "items": {"type": "string", "pattern": "^--[^ ]+$"}},
        trtexec=STRING,
        job=section(backoffLimit=whole(), activeDeadlineSeconds=whole(1)),
    )


def triton() -> Schema:
    """Returns the section of Triton."""
    name = NAME | {"maxLength": 20}
    more = {"gpu": gpu(), "engine": engine(), "shmSize": QUANTITY}
    pool = section(**triton_server(name=name, backend={"enum": ["cpu", "gpu"]}, **more)) | {
        "required": ["name", "backend"]
    }
    return section(
        models={"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,62}$"}},
        pools={"type": "array", "minItems": 1, "items": pool},
        cpu=section(**triton_server()),
        gpu=section(**triton_server(**more)),
    )


def claim() -> Schema:
    """Returns a claim that exists, or how one is made."""
    return section(
        existingClaim=OPTIONAL_NAME,
        subPath=STRING,
        create=BOOLEAN,
        size=QUANTITY,
        storageClassName=OPTIONAL_NAME,
        accessModes={"type": "array", "items": {"enum": ["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]}},
    )


def training() -> Schema:
    """Returns the section of the Job that trains."""
    placing = ("priorityClassName", "runtimeClassName", "nodeSelector", "tolerations", "affinity")
    pod = ("podAnnotations", "podLabels", "extraEnv", "tmpSizeLimit")
    return section(
        enabled=BOOLEAN,
        suspend=BOOLEAN,
        workers=whole(1),
        processes=whole(1),
        image=ref("image"),
        recipe=STRING,
        existingConfigMap=OPTIONAL_NAME,
        set={"type": "array", "items": {"type": "string", "pattern": "^[a-z][a-z0-9_.]*="}},
        datasets=claim(),
        runs=claim(),
        files=section(enabled=BOOLEAN, resources=ref("resources")),
        gpu=section(count=whole(), resourceName=DEVICE, product=STRING, productLabel=STRING),
        threads=whole(1),
        resources=ref("resources"),
        shmSize=QUANTITY,
        pixelsSizeLimit=QUANTITY,
        waitSeconds=whole(1),
        job=section(
            backoffLimitPerIndex=whole(),
            activeDeadlineSeconds=whole(1),
            ttlSecondsAfterFinished=either(WHOLE_SECONDS),
        ),
        **{key: shared()[key] for key in (*placing, *pod)},
    )


def monitor() -> Schema:
    """Returns how something is scraped."""
    return section(
        enabled=BOOLEAN,
        interval=DURATION,
        scrapeTimeout=DURATION,
        labels=MAP,
        honorLabels=BOOLEAN,
        relabelings=objects(),
        metricRelabelings=objects(),
    )


def gateway_api() -> Schema:
    """Returns the section of the Gateway API."""
    return section(
        parentRefs=objects("name"),
        httpRoute=section(enabled=BOOLEAN, hostnames=STRINGS, paths=PATHS, timeout=DURATION, annotations=MAP),
        grpcRoute=section(enabled=BOOLEAN, hostnames=STRINGS, annotations=MAP),
        gateway=section(
            create=BOOLEAN, className=OPTIONAL_NAME, listeners=objects("name", "port", "protocol"), annotations=MAP
        ),
        backendTLSPolicy=section(enabled=BOOLEAN, hostname=STRING, caCertificateRefs=objects("group", "kind", "name")),
    )


def root() -> Schema:
    """Returns the sections of values.yaml."""
    return {
        # Parent charts put keys of their own here.
        "global": section(
            imageRegistry=STRING,
            imagePullSecrets=objects("name"),
            imagePullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
            requireDigests=BOOLEAN,
        )
        | {"additionalProperties": True},
        "nameOverride": STRING,
        "fullnameOverride": STRING | {"maxLength": 26},
        "clusterDomain": STRING,
        "commonLabels": MAP,
        "commonAnnotations": MAP,
        "serviceAccount": section(create=BOOLEAN, name=OPTIONAL_NAME, annotations=MAP),
        "podSecurity": section(user=ref("user")),
        "defaults": section(config=config(ProcessSettings), service=ref("service"), **shared()),
        **{name: tier(name) for name in SERVICES},
        "triton": triton(),
        "modelStore": section(
            type={"enum": ["image", "imageVolume", "pvc", "s3", "hostPath"]},
            image=ref("image"),
            pvc=section(existingClaim=OPTIONAL_NAME, subPath=STRING),
            s3=section(
                uri={"type": "string", "pattern": "^(s3://.+)?$"},
                endpointUrl=URL_OR_NONE,
                region=STRING,
                existingSecret=OPTIONAL_NAME,
                image=ref("image"),
            ),
            hostPath=section(path={"type": "string", "pattern": "^(/.*)?$"}),
            sizeLimit=QUANTITY,
            resources=ref("resources"),
        ),
        "trustedKeys": section(existingConfigMap=OPTIONAL_NAME, existingSecret=OPTIONAL_NAME),
        "engineStore": claim(),
        "training": training(),
        "tls": section(
            enabled=BOOLEAN,
            source={"enum": ["certManager", "existingSecrets"]},
            existingSecret=OPTIONAL_NAME,
            existingSecrets=section(**dict.fromkeys([*SERVICES, "triton"], OPTIONAL_NAME)),
            allowedCallers=STRINGS,
            certManager=section(issuerRef=ref("issuerRef"), duration=DURATION, renewBefore=DURATION),
        ),
        "edgeTLS": section(
            enabled=BOOLEAN,
            existingSecret=OPTIONAL_NAME,
            clientCASecret=OPTIONAL_NAME,
            certManager=section(issuerRef=ref("issuerRef"), dnsNames=STRINGS, duration=DURATION, renewBefore=DURATION),
        ),
        "networkPolicy": section(
            enabled=BOOLEAN,
            gatewayPeers=ref("peers"),
            monitoringPeers=ref("peers"),
            dns=section(peers=ref("peers"), ports={"type": "array", "minItems": 1, "items": whole(1, 65535)}),
            otlpPeers=ref("peers"),
            s3Peers=ref("peers"),
        ),
        "tracing": section(otlpEndpoint=URL_OR_NONE, sampleRatio={"type": "number", "minimum": 0, "maximum": 1}),
        "prometheus": section(serverAddress=URL_OR_NONE, authenticationRef=section(name=STRING, kind=STRING)),
        "monitoring": section(
            serviceMonitor=monitor(),
            podMonitor=monitor(),
            prometheusRule=section(enabled=BOOLEAN, labels=MAP, runbookURL=STRING),
            dashboards=section(enabled=BOOLEAN, labels=MAP, annotations=MAP),
        ),
        "gatewayApi": gateway_api(),
        "ingress": section(
            enabled=BOOLEAN,
            className=OPTIONAL_NAME,
            annotations=MAP,
            hosts=STRINGS,
            paths=PATHS,
            tls={"type": "array", "items": section(hosts=STRINGS, secretName=OPTIONAL_NAME)},
        ),
        "test": section(enabled=BOOLEAN, expectedLabel={"type": "string", "minLength": 1}, resources=ref("resources")),
        "extraObjects": {"type": "array", "items": {"type": ["object", "string"]}},
    }


def describe(schema: Schema, told: dict[tuple[str, ...], str], path: tuple[str, ...] = ()) -> Schema:
    """Returns the schema with what values.yaml says of each key."""
    properties = {
        key: describe(
            {"description": told[(*path, key)]} | value if (*path, key) in told else value, told, (*path, key)
        )
        for key, value in schema.get("properties", {}).items()
    }
    return schema | {"properties": properties} if properties else schema


def document() -> str:
    """Returns the whole file."""
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart triptych"}
    body = describe(section(**root()), comments(VALUES.read_text()))
    return json.dumps(head | body | {"definitions": definitions()}, indent=2) + "\n"


def main() -> int:
    """Writes, or compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the file, write nothing")
    if parser.parse_args().check:
        if not SCHEMA.exists() or SCHEMA.read_text() != document():
            sys.stderr.write(f"{SCHEMA.name} is not what tools/chart/schema.py says: run `make gen`\n")
            return 1
        return 0
    SCHEMA.write_text(document())
    return 0


if __name__ == "__main__":
    sys.exit(main())
