"""Sections of the chart's values: one function for each that has a shape of its own."""

from tools.chart.schema_words import (
    BOOLEAN,
    DEVICE,
    DURATION,
    FREE,
    MAP,
    NAME,
    OPTIONAL_NAME,
    PATHS,
    QUANTITY,
    STRING,
    STRINGS,
    URL_OR_NONE,
    WHOLE_SECONDS,
    Schema,
    either,
    objects,
    ref,
    section,
    whole,
)
from tools.document_settings import SERVICES


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


def experiments() -> Schema:
    """Returns what the tier of experiments has of its own."""
    volume = claim()["properties"]
    return {
        "enabled": BOOLEAN,
        "admin": BOOLEAN,
        "database": section(existingSecret=OPTIONAL_NAME, port=whole(1, 65535)),
        "persistence": section(
            enabled=BOOLEAN, **{key: volume[key] for key in ("size", "storageClassName", "accessModes")}
        ),
    }


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


def model_store() -> Schema:
    """Returns the section that says where models come from."""
    return section(
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
    )


def tls() -> Schema:
    """Returns the section that says TLS between the processes."""
    return section(
        enabled=BOOLEAN,
        source={"enum": ["certManager", "existingSecrets"]},
        existingSecret=OPTIONAL_NAME,
        existingSecrets=section(**dict.fromkeys([*SERVICES, "triton"], OPTIONAL_NAME)),
        allowedCallers=STRINGS,
        certManager=section(issuerRef=ref("issuerRef"), duration=DURATION, renewBefore=DURATION),
    )


def edge_tls() -> Schema:
    """Returns the section that says TLS at the gateway."""
    return section(
        enabled=BOOLEAN,
        existingSecret=OPTIONAL_NAME,
        clientCASecret=OPTIONAL_NAME,
        certManager=section(issuerRef=ref("issuerRef"), dnsNames=STRINGS, duration=DURATION, renewBefore=DURATION),
    )


def network_policy() -> Schema:
    """Returns the section that says who may reach whom."""
    return section(
        enabled=BOOLEAN,
        gatewayPeers=ref("peers"),
        monitoringPeers=ref("peers"),
        dns=section(peers=ref("peers"), ports={"type": "array", "minItems": 1, "items": whole(1, 65535)}),
        otlpPeers=ref("peers"),
        s3Peers=ref("peers"),
        databasePeers=ref("peers"),
    )


def monitoring() -> Schema:
    """Returns the section that says monitors, rules and dashboards."""
    return section(
        serviceMonitor=monitor(),
        podMonitor=monitor(),
        prometheusRule=section(enabled=BOOLEAN, labels=MAP, runbookURL=STRING),
        dashboards=section(enabled=BOOLEAN, labels=MAP, annotations=MAP),
    )


def ingress() -> Schema:
    """Returns the section that says the Ingress."""
    return section(
        enabled=BOOLEAN,
        className=OPTIONAL_NAME,
        annotations=MAP,
        hosts=STRINGS,
        paths=PATHS,
        tls={"type": "array", "items": section(hosts=STRINGS, secretName=OPTIONAL_NAME)},
    )
