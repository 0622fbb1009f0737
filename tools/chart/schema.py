"""Writes the chart's values.schema.json (draft-07); `--check` fails when the file differs.

Shapes are said here once; what `config` may hold comes from the settings classes, descriptions from values.yaml.
"""

import argparse
import json
import sys

from servicekit.settings import ProcessSettings
from tools.chart.schema_sections import (
    claim,
    edge_tls,
    experiments,
    gateway_api,
    ingress,
    model_store,
    monitoring,
    network_policy,
    shared,
    tls,
    training,
    triton,
)
from tools.chart.schema_words import (
    BOOLEAN,
    COUNT_OR_SHARE,
    FREE,
    MAP,
    OPTIONAL_NAME,
    SECONDS,
    SPREAD,
    STRING,
    URL_OR_NONE,
    WHOLE_SECONDS,
    Schema,
    either,
    objects,
    ref,
    section,
    whole,
)
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
    "experiments_",
    "data_dir",
    "database_",
)
"""Beginnings of settings that the chart itself sets."""
GIVEN_ENDS = ("_target", "_targets", "metrics_port")


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


def tier(name: str) -> Schema:
    """Returns the section of a tier; the one that is a StatefulSet is neither scaled by load nor surges."""
    own = {
        "image": ref("image"),
        "resources": ref("resources"),
        "service": ref("service"),
        "config": config(SERVICES[name]),
    }
    keys = shared()
    if name == "experiments":
        own |= experiments()
        keys = {key: value for key, value in keys.items() if key not in ("autoscaling", "strategy")}
    return section(**own, **keys)


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
        "modelStore": model_store(),
        "trustedKeys": section(existingConfigMap=OPTIONAL_NAME, existingSecret=OPTIONAL_NAME),
        "engineStore": claim(),
        "training": training(),
        "tls": tls(),
        "edgeTLS": edge_tls(),
        "networkPolicy": network_policy(),
        "tracing": section(otlpEndpoint=URL_OR_NONE, sampleRatio={"type": "number", "minimum": 0, "maximum": 1}),
        "prometheus": section(serverAddress=URL_OR_NONE, authenticationRef=section(name=STRING, kind=STRING)),
        "monitoring": monitoring(),
        "gatewayApi": gateway_api(),
        "ingress": ingress(),
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
