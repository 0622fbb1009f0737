"""Where the time of a request goes."""

from tools.dashboards.grafana import GREEN, MODEL, NAMESPACE, RED, Dashboard, Panel, Query, mean, quantile, rate

_MEAN = mean("triptych_stage_seconds", f'{MODEL},stage=~"preprocess|inference|postprocess"', "stage")
_WITHIN = mean("triptych_stage_seconds", f'{MODEL},stage=~"decode|queue|compute"', "stage")
_STAGES = [
    Panel(
        "Mean time by stage",
        "The three hops of a request that is computed, one upon the other: their sum is the whole. Waiting for a "
        "message to leave is part of a hop.",
        [Query(_MEAN, "{{stage}}")],
        "s",
        stacked=True,
        width=12,
    ),
    Panel(
        "99th percentile by stage",
        "`total` should stay below the line, 500 ms.",
        [Query(quantile(0.99, "triptych_stage_seconds", MODEL, "stage"), "{{stage}}")],
        "s",
        width=12,
        thresholds=[(None, GREEN), (0.5, RED)],
    ),
    Panel(
        "Work within the stages",
        "Mean time of decoding an image, of waiting in Triton's queue, and of computing. What a hop takes beyond "
        "them is waiting and the way.",
        [Query(_WITHIN, "{{stage}}")],
        "s",
        width=12,
    ),
    Panel(
        "Total by model and version",
        "99th percentile. Two versions of one model side by side show what a new one costs.",
        [
            Query(
                quantile(0.99, "triptych_stage_seconds", f'{MODEL},stage="total"', "model", "version"),
                "{{model}} {{version}}",
            )
        ],
        "s",
        width=12,
        thresholds=[(None, GREEN), (0.5, RED)],
    ),
]

_ON_THE_WAY = (
    f"{mean('grpc_client_handling_seconds', NAMESPACE, 'grpc_method')} "
    f"- {mean('grpc_server_handling_seconds', NAMESPACE, 'grpc_method')}"
)
_WAITING = [
    Panel(
        "Wait for a message to leave",
        "How long the first image of a message waited in the gateway, 99th percentile. When idle nothing waits; "
        "under load waiting is what makes batches.",
        [Query(quantile(0.99, "triptych_hop_wait_seconds", NAMESPACE, "tier"), "{{tier}}")],
        "s",
    ),
    Panel(
        "Wait for a decoding thread",
        "Within preprocess. If it is longer than decoding itself, add replicas.",
        [
            Query(quantile(share, "triptych_preprocess_queue_seconds", NAMESPACE), f"p{share * 100:g}")
            for share in (0.5, 0.99)
        ],
        "s",
    ),
    Panel(
        "On the way",
        "Mean time that the caller of a hop measured, less what the service did: network, serialization, event "
        "loops that are busy.",
        [Query(_ON_THE_WAY, "{{grpc_method}}")],
        "s",
        least=None,
    ),
]

_CALLERS = [
    Panel(
        "Time to answer",
        "Every answered request.",
        [Query(rate(f'triptych_request_seconds_bucket{{{NAMESPACE},outcome="ok"}}', "le"), "{{le}}")],
        "s",
        "heatmap",
        width=12,
    ),
    Panel(
        "By transport",
        "Answered requests. HTTP does more than gRPC: base64, JSON.",
        [
            Query(
                quantile(share, "triptych_request_seconds", f'{NAMESPACE},outcome="ok"', "transport"),
                f"{{{{transport}}}} p{share * 100:g}",
            )
            for share in (0.5, 0.99)
        ],
        "s",
        width=12,
        thresholds=[(None, GREEN), (0.5, RED)],
    ),
    Panel(
        "Share above 500 ms",
        "Of the answered requests of the last 5 minutes. The line is what the objective allows.",
        [Query(f"namespace:triptych_requests:slow_ratio_rate5m{{{NAMESPACE}}}", "{{namespace}}")],
        "percentunit",
        thresholds=[(None, GREEN), (0.01, RED)],
    ),
    Panel(
        "Time that callers give",
        "Deadline of requests as they arrive; half and one in ten give less than that.",
        [
            Query(
                quantile(share, "triptych_request_deadline_seconds", NAMESPACE, "transport"),
                f"{{{{transport}}}} p{share * 100:g}",
            )
            for share in (0.1, 0.5)
        ],
        "s",
    ),
    Panel(
        "Time left at each hop",
        "When a call came in, one in ten had less than that. Close to the hop's own duration, requests fail with "
        "DEADLINE_EXCEEDED.",
        [Query(quantile(0.1, "grpc_server_deadline_seconds", NAMESPACE, "grpc_method"), "{{grpc_method}}")],
        "s",
    ),
]

_HITS = (
    f'{rate(f"""triptych_result_cache_lookups_total{{{NAMESPACE},outcome="hit"}}""")} '
    f"/ {rate(f'triptych_result_cache_lookups_total{{{NAMESPACE}}}')}"
)
_CACHE = [
    Panel(
        "Answers from the cache",
        "Share of the images that were answered before and cost nothing. A change here changes every time above.",
        [Query(_HITS, "hits")],
        "percentunit",
        width=12,
        most=1,
    ),
    Panel(
        "Answers shared",
        "Images that waited for an equal one that was being computed.",
        [Query(rate(f"triptych_shared_answers_total{{{NAMESPACE}}}"), "shared")],
        "ops",
        width=12,
    ),
]

LATENCY = Dashboard(
    "triptych-latency",
    "Triptych / Latency",
    "Where the time of a request goes: the budget of 500 ms by stage, what waits, what callers give.",
    [
        ("Stages of a request", _STAGES),
        ("Waiting", _WAITING),
        ("What callers see", _CALLERS),
        ("What needs no computing", _CACHE),
    ],
    variables=("namespace", "model"),
)
