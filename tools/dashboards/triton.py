"""The model servers."""

from tools.dashboards.grafana import (
    GREEN,
    MODEL,
    NAMESPACE,
    ORANGE,
    RED,
    Dashboard,
    Panel,
    Query,
    quantile,
    rate,
    stat,
)

VERSION = ("model", "version")
PER_REQUEST = rate(f"nv_inference_request_success{{{MODEL}}}", *VERSION)
_SOME_AWAY = [(None, RED), (1, GREEN)]


def _of_request(part: str) -> str:
    """Returns the seconds that a part of the work takes per request; Triton counts microseconds."""
    total = rate(f"nv_inference_{part}_duration_us{{{MODEL}}}")
    return f"{total} / 1e6 / {rate(f'nv_inference_request_success{{{MODEL}}}')}"


_STATE = [
    stat(
        "Servers ready",
        "Share of the Triton servers with a version that passes its test inference.",
        f"avg(max by (namespace, server) (triptych_triton_ready{{{NAMESPACE}}}))",
        "percentunit",
        _SOME_AWAY,
    ),
    stat(
        "Versions ready",
        "Share of the published versions that can answer somewhere.",
        f"avg(max by (namespace, model, version) (triptych_model_version_ready{{{MODEL}}}))",
        "percentunit",
        _SOME_AWAY,
    ),
    stat(
        "Instances",
        "Batches that can be computed at the same time, over all models and servers.",
        f"sum(max by (namespace, model, version, backend) (triptych_triton_instances{{{MODEL}}}))",
    ),
    stat(
        "Waiting",
        "Requests in Triton's queues now.",
        f"sum(nv_inference_pending_request_count{{{MODEL}}})",
        thresholds=[(None, GREEN), (128, ORANGE)],
    ),
    stat("Images", "Images inferred, per second.", rate(f"nv_inference_count{{{MODEL}}}"), "ops"),
    stat(
        "Failing",
        "Requests that failed inside Triton, per second; those whose callers left are not counted.",
        rate(f'nv_inference_request_failure{{{MODEL},reason!="CANCELED"}}'),
        "reqps",
        [(None, GREEN), (0.01, ORANGE)],
    ),
]

_WORK = [
    Panel(
        "Requests",
        "By model and version. The test inferences of the inference service count too.",
        [Query(PER_REQUEST, "{{model}} {{version}}")],
        "reqps",
    ),
    Panel(
        "Images per execution",
        "How full batches are. Near one with requests waiting, the batcher is set wrong.",
        [
            Query(
                f"{rate(f'nv_inference_count{{{MODEL}}}', *VERSION)} "
                f"/ {rate(f'nv_inference_exec_count{{{MODEL}}}', *VERSION)}",
                "{{model}} {{version}}",
            )
        ],
    ),
    Panel(
        "Failures",
        "REJECTED: the queue was full, or the time was up in it. BACKEND: the engine. CANCELED: the caller left.",
        [
            Query(
                rate(f"nv_inference_request_failure{{{MODEL}}}", *VERSION, "reason"), "{{model}} {{version}} {{reason}}"
            )
        ],
        "reqps",
    ),
    Panel(
        "Instances by backend",
        "What runs each version, and how many batches at a time. Two backends for one version: some server fell back.",
        [
            Query(
                f"max by (model, version, backend) (triptych_triton_instances{{{MODEL}}})",
                "{{model}} {{version}} {{backend}}",
            )
        ],
    ),
    Panel(
        "Rows by outcome",
        "Images as the inference service counts them: OK, or the reason of their error.",
        [
            Query(
                rate(f"triptych_inference_rows_total{{{MODEL}}}", *VERSION, "outcome"),
                "{{model}} {{version}} {{outcome}}",
            )
        ],
        "ops",
    ),
    Panel(
        "In work at each server",
        "As the inference services count it; the least busy server gets the next request, so these should be alike.",
        [Query(f"sum by (server) (triptych_triton_in_flight_requests{{{NAMESPACE}}})", "{{server}}")],
    ),
]

_TIME = [
    Panel(
        "Time of a request inside Triton",
        "Mean per request, one upon the other. A high queue wants another Triton, a high compute a faster engine.",
        [
            Query(_of_request(part), legend)
            for part, legend in (
                ("queue", "queue"),
                ("compute_input", "input"),
                ("compute_infer", "infer"),
                ("compute_output", "output"),
            )
        ],
        "s",
        stacked=True,
    ),
    Panel(
        "Requests that wait",
        "Per server and version. The queue takes 256 and then refuses; at 128 for minutes there is an alert.",
        [
            Query(
                f"sum by (instance, model, version) (nv_inference_pending_request_count{{{MODEL}}})",
                "{{instance}} {{model}} {{version}}",
            )
        ],
        thresholds=[(None, GREEN), (128, ORANGE)],
    ),
    Panel(
        "Call to Triton",
        "As the inference service sees it; beyond the graph on the left it is the way there and back.",
        [
            Query(
                quantile(share, "grpc_client_handling_seconds", f'{NAMESPACE},grpc_method="ModelInfer"'),
                f"p{share * 100:g}",
            )
            for share in (0.5, 0.95, 0.99)
        ],
        "s",
    ),
]

_MACHINE = [
    Panel(
        "CPU",
        "Share of all cores of Triton's machine that are busy, by whatever.",
        [Query(f"max by (instance) (nv_cpu_utilization{{{NAMESPACE}}})", "{{instance}}")],
        "percentunit",
        most=1,
    ),
    Panel(
        "Memory",
        "Share of the memory of Triton's machine that is taken, by whatever.",
        [
            Query(
                f"max by (instance) (nv_cpu_memory_used_bytes{{{NAMESPACE}}} "
                f"/ nv_cpu_memory_total_bytes{{{NAMESPACE}}})",
                "{{instance}}",
            )
        ],
        "percentunit",
        most=1,
        thresholds=[(None, GREEN), (0.9, RED)],
    ),
    Panel(
        "GPU",
        "Share of the time that each GPU computes, and share of its memory that is taken; empty where there is none.",
        [
            Query(
                f"max by (instance, gpu_uuid) (nv_gpu_utilization{{{NAMESPACE}}})",
                "{{instance}} {{gpu_uuid}} busy",
            ),
            Query(
                f"max by (instance, gpu_uuid) (nv_gpu_memory_used_bytes{{{NAMESPACE}}} "
                f"/ nv_gpu_memory_total_bytes{{{NAMESPACE}}})",
                "{{instance}} {{gpu_uuid}} memory",
            ),
        ],
        "percentunit",
        most=1,
    ),
]

TRITON = Dashboard(
    "triptych-triton",
    "Triptych / Triton",
    "The model servers: what is loaded, queue and compute, batches, failures.",
    [("State", _STATE), ("Work", _WORK), ("Time", _TIME), ("Machines", _MACHINE)],
    variables=("namespace", "model"),
)
