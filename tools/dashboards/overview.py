"""Is the service well, and if not, which part of it."""

from tools.dashboards.grafana import (
    GREEN,
    NAMESPACE,
    ORANGE,
    RED,
    Dashboard,
    Panel,
    Query,
    Thresholds,
    quantile,
    rate,
    stat,
)


def _kept(objective: float) -> Thresholds:
    return [(None, RED), (objective, GREEN)]


def _level(name: str) -> str:
    return f"1 - avg(namespace:triptych_requests:{name}_ratio_rate1h{{{NAMESPACE}}})"


_LEVELS = [
    stat(
        "Not failed",
        "Requests of the last hour that did not fail through the service's fault. Objective: 99.9%.",
        _level("errors"),
        "percentunit",
        _kept(0.999),
    ),
    stat(
        "Within 500 ms",
        "Answers of the last hour that took no longer. Objective: 99%.",
        _level("slow"),
        "percentunit",
        _kept(0.99),
    ),
    stat(
        "Not refused",
        "Requests of the last hour that met no limit. Objective: 99%.",
        _level("shed"),
        "percentunit",
        _kept(0.99),
    ),
    stat(
        "Requests per second",
        "Requests to classify, over all transports.",
        rate(f"triptych_requests_total{{{NAMESPACE}}}"),
        "reqps",
    ),
    stat(
        "Ready gateways",
        "Gateways that find every service and Triton there.",
        f"count(min by (namespace, job, instance) (triptych_ready{{{NAMESPACE}}}) == 1) or vector(0)",
        thresholds=[(None, RED), (1, GREEN)],
    ),
    stat(
        "Alerts",
        "Alerts that fire now. Each has a section in docs/runbook.md.",
        f'count(ALERTS{{{NAMESPACE},alertname=~"Triptych.*",alertstate="firing"}}) or vector(0)',
        thresholds=[(None, GREEN), (1, RED)],
    ),
]

_REQUESTS = [
    Panel(
        "Requests",
        "Requests to classify by transport. One request may bring many images.",
        [Query(rate(f"triptych_requests_total{{{NAMESPACE}}}", "transport"), "{{transport}}")],
        "reqps",
        stacked=True,
    ),
    Panel(
        "Requests without an answer",
        "By code and reason. INVALID_ARGUMENT is the caller's fault, RESOURCE_EXHAUSTED a lack of room, CANCELLED a "
        "caller that left.",
        [
            Query(
                rate(f'triptych_requests_total{{{NAMESPACE},code!="OK"}}', "code", "reason"),
                "{{code}} {{reason}}",
            )
        ],
        "reqps",
        stacked=True,
    ),
    Panel(
        "Time to answer",
        "Of requests that were answered, over all transports. The line is the objective: 99% are below it.",
        [
            Query(quantile(share, "triptych_request_seconds", f'{NAMESPACE},outcome="ok"'), f"p{share * 100:g}")
            for share in (0.5, 0.95, 0.99)
        ],
        "s",
        thresholds=[(None, GREEN), (0.5, RED)],
    ),
    Panel(
        "Budgets burn",
        "How many times too fast each budget of 30 days is used up. A page comes at 6 over six hours and at 14.4 "
        "over one.",
        [
            Query(f"max(namespace:triptych_requests:{name}_ratio_rate1h{{{NAMESPACE}}}) / {budget}", f"{name}, 1 h")
            for name, budget in (("errors", 0.001), ("slow", 0.01), ("shed", 0.01))
        ],
        width=12,
        thresholds=[(None, GREEN), (6, ORANGE), (14.4, RED)],
    ),
    Panel(
        "HTTP by route and status",
        "Every HTTP request. The route `none` are connections refused before a request was known, the status 499 "
        "clients that left.",
        [Query(rate(f"triptych_http_requests_total{{{NAMESPACE}}}", "route", "status"), "{{route}} {{status}}")],
        "reqps",
        width=12,
    ),
]

_FAILED = (
    f'1 - {rate(f"""grpc_client_handled_total{{{NAMESPACE},grpc_code="OK"}}""", "grpc_method")} '
    f"/ {rate(f'grpc_client_handled_total{{{NAMESPACE}}}', 'grpc_method')}"
)
_HOPS = [
    Panel(
        "Calls",
        "Messages from hop to hop, as the caller counts them. Under load a message carries several images, so there "
        "are fewer.",
        [Query(rate(f"grpc_client_handled_total{{{NAMESPACE}}}", "grpc_method"), "{{grpc_method}}")],
        "reqps",
    ),
    Panel(
        "Share that fails",
        "Calls that did not end with OK. An image's own fault is not one: it is an outcome within an answer.",
        [Query(_FAILED, "{{grpc_method}}")],
        "percentunit",
        thresholds=[(None, GREEN), (0.001, ORANGE)],
    ),
    Panel(
        "Duration",
        "As the caller sees it: the way there and back, and the work.",
        [
            Query(
                quantile(share, "grpc_client_handling_seconds", NAMESPACE, "grpc_method"),
                f"{{{{grpc_method}}}} p{share * 100:g}",
            )
            for share in (0.5, 0.99)
        ],
        "s",
    ),
    Panel(
        "What is there",
        "Whether gateways find each service, and Triton behind inference, ready. A red stretch: new requests were "
        "refused.",
        [Query(f"min by (condition) (triptych_ready{{{NAMESPACE}}})", "{{condition}}")],
        kind="state-timeline",
        thresholds=[(None, RED), (1, GREEN)],
        least=None,
    ),
    Panel(
        "Calls that met a replica going away",
        "Sent a second time, or not: `not_back` in time, or `no_budget`. Peaks belong to rollouts; a level is a "
        "replica that crashes.",
        [Query(rate(f"triptych_gateway_retries_total{{{NAMESPACE}}}", "tier", "outcome"), "{{tier}} {{outcome}}")],
        "reqps",
    ),
    Panel(
        "Processes",
        "What runs, in which version. Two versions at the same time are a rollout.",
        [Query(f"count by (process, version) (triptych_build_info{{{NAMESPACE}}})", "{{process}} {{version}}")],
    ),
]

OVERVIEW = Dashboard(
    "triptych-overview",
    "Triptych / Overview",
    "Is the service well, and if not, which part of it: service levels, requests, and rate, errors and duration per "
    "hop.",
    [
        ("Service levels over the last hour", _LEVELS),
        ("Requests", _REQUESTS),
        ("Hops", _HOPS),
    ],
)
