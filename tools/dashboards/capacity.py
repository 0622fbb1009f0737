"""How much room is left, and what runs out first."""

from tools.dashboards.grafana import (
    EVERY,
    GREEN,
    JOB,
    NAMESPACE,
    ORANGE,
    RED,
    Dashboard,
    Panel,
    Query,
    mean,
    quantile,
    rate,
)

_OURS = f"* on (namespace, job, instance) group_left (process) triptych_build_info{{{JOB}}}"
"""Keeps the processes of ours, and tells what each is."""
PROCESS = "{{process}} {{instance}}"


def _per_process(expr: str) -> Query:
    return Query(f"sum by (process, instance) ({expr} {_OURS})", PROCESS)


_CORES = f"rate(process_cpu_seconds_total{{{JOB}}}[{EVERY}])"

_ROOM = [
    Panel(
        "Images in work",
        "Over all gateways, and how many may be. Above that, requests are refused at once.",
        [
            Query(f"sum(triptych_in_flight_images{{{NAMESPACE}}})", "in work"),
            Query(f"sum(triptych_in_flight_images_limit{{{NAMESPACE}}})", "limit"),
        ],
    ),
    Panel(
        "Fullest gateway",
        "Share of its room that is taken. For minutes above the line there is an alert.",
        [
            Query(
                f"max(triptych_in_flight_images{{{NAMESPACE}}} / triptych_in_flight_images_limit{{{NAMESPACE}}})",
                "taken",
            )
        ],
        "percentunit",
        thresholds=[(None, GREEN), (0.9, RED)],
        most=1,
    ),
    Panel(
        "Refused for lack of room",
        "By the limit that was met: requests and connections at gateways, images at `decode_queue`.",
        [Query(rate(f"triptych_shed_total{{{NAMESPACE}}}", "limit"), "{{limit}}")],
        "reqps",
    ),
    Panel(
        "Images that wait for a message",
        "In the gateways, by the service they are meant for. The one that grows is the bottleneck.",
        [Query(f"sum by (tier) (triptych_hop_waiting_images{{{NAMESPACE}}})", "{{tier}}")],
    ),
    Panel(
        "Longest wait by now",
        "Of the image that waits longest. Above the line for a minute it is stuck, and there is an alert.",
        [Query(f"max by (tier) (triptych_hop_oldest_wait_seconds{{{NAMESPACE}}})", "{{tier}}")],
        "s",
        thresholds=[(None, GREEN), (2, RED)],
    ),
    Panel(
        "Messages under way",
        "From gateways to each service; more wait until one comes back.",
        [Query(f"sum by (tier) (triptych_hop_messages{{{NAMESPACE}}})", "{{tier}}")],
    ),
]

_MACHINES = [
    Panel(
        "CPU",
        "Cores in use. A gateway's event loop fills one at most; then add gateways.",
        [_per_process(_CORES)],
        "none",
    ),
    Panel(
        "CPU of what there is",
        "Share of the cores that each process may use.",
        [_per_process(f"{_CORES} / on (namespace, job, instance) triptych_usable_cores{{{JOB}}}")],
        "percentunit",
        thresholds=[(None, GREEN), (0.8, ORANGE)],
    ),
    Panel(
        "Memory",
        "Resident, per process. Compare with the container's limit.",
        [_per_process(f"process_resident_memory_bytes{{{JOB}}}")],
        "bytes",
    ),
    Panel(
        "Open files",
        "Share of the most that a process may have; connections are files.",
        [_per_process(f"process_open_fds{{{JOB}}} / process_max_fds{{{JOB}}}")],
        "percentunit",
        thresholds=[(None, GREEN), (0.8, RED)],
    ),
    Panel(
        "Replicas",
        "Processes of each kind that are scraped.",
        [Query(f"count by (process) (triptych_build_info{{{JOB}}})", "{{process}}")],
    ),
    Panel(
        "Starts",
        "How often processes behind one address were started anew within the last hour.",
        [_per_process(f"changes(process_start_time_seconds{{{JOB}}}[1h])")],
        thresholds=[(None, GREEN), (3, ORANGE)],
    ),
]

_BATCHES = [
    Panel(
        "Images per message",
        "Mean, by service. It grows under load, and the cost of a hop is shared.",
        [Query(mean("triptych_batch_images", NAMESPACE, "tier"), "{{tier}}")],
    ),
    Panel(
        "Images per message to inference",
        "How many messages carry how many.",
        [Query(rate(f'triptych_batch_images_bucket{{{NAMESPACE},tier="inference"}}', "le"), "{{le}}")],
        "short",
        "heatmap",
    ),
    Panel(
        "Images",
        "Images that leave for each service, per second.",
        [Query(rate(f"triptych_batch_images_sum{{{NAMESPACE}}}", "tier"), "{{tier}}")],
        "ops",
    ),
]

_DECODING = [
    Panel(
        "Decoding threads",
        "Busy, and all.",
        [
            Query(f"sum(triptych_preprocess_busy_threads{{{NAMESPACE}}})", "busy"),
            Query(f"sum(triptych_preprocess_threads{{{NAMESPACE}}})", "all"),
        ],
    ),
    Panel(
        "Images in preprocess",
        "Being decoded, or waiting for a thread. Above 8 for each thread there is an alert.",
        [Query(f"sum by (instance) (triptych_preprocess_waiting_images{{{NAMESPACE}}})", "{{instance}}")],
    ),
    Panel(
        "Time to decode an image",
        "Larger pictures, or less CPU, make it grow.",
        [
            Query(quantile(share, "triptych_preprocess_image_seconds", NAMESPACE), f"p{share * 100:g}")
            for share in (0.5, 0.99)
        ],
        "s",
    ),
]

_REST = [
    Panel(
        "Result cache",
        "Memory that answers take, and may take, over all gateways.",
        [
            Query(f"sum(triptych_result_cache_bytes{{{NAMESPACE}}})", "taken"),
            Query(f"sum(triptych_result_cache_bytes_limit{{{NAMESPACE}}})", "limit"),
        ],
        "bytes",
        width=12,
    ),
    Panel(
        "Second attempts that may be made",
        "Left in the budget of the poorest gateway. At nought, calls that meet a replica going away fail.",
        [Query(f"min by (tier) (triptych_gateway_retry_budget{{{NAMESPACE}}})", "{{tier}}")],
        width=12,
        thresholds=[(None, RED), (1, GREEN)],
    ),
]

CAPACITY = Dashboard(
    "triptych-capacity",
    "Triptych / Capacity",
    "How much room is left, and what runs out first: the gateways' limits, CPU, memory, batches, replicas.",
    [
        ("Room in the gateways", _ROOM),
        ("Processes", _MACHINES),
        ("Batches", _BATCHES),
        ("Decoding", _DECODING),
        ("Cache and retries", _REST),
    ],
    variables=("namespace", "job"),
)
