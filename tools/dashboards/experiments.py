"""The page of experiments: who is answered by which version, what is known of it, and what was decided."""

from tools.dashboards.grafana import (
    EVERY,
    GREEN,
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

EVIDENCE_SERVICE = f'{NAMESPACE},grpc_service="triptych.experiments.v1.EvidenceService",grpc_method="RecordEvidence"'
FEEDBACK = f'{NAMESPACE},job!="gateway",grpc_service="triptych.experiments.v1.FeedbackService"'
JOURNAL = f"triptych_journal_bytes{{{NAMESPACE}}} / triptych_journal_limit_bytes{{{NAMESPACE}}}"

_NOW = (
    stat(
        "Running",
        "Experiments in which requests take part.",
        f'sum(max by (namespace, state) (triptych_experiments{{{NAMESPACE},state=~"running|ramping"}}))',
    ),
    stat(
        "To be mended",
        "Candidates whose keys are not dealt as the weights say: their verdicts mean nothing until that is found.",
        f'sum(max by (namespace) (triptych_experiment_candidates{{{NAMESPACE},advice="repair"}}))',
        thresholds=((None, GREEN), (1, RED)),
    ),
    stat(
        "Rolled back in a day",
        "Candidates that the rules took out because they were surely worse.",
        f'sum(increase(triptych_experiment_decisions_total{{{NAMESPACE},action="roll back"}}[1d]))',
        thresholds=((None, GREEN), (0.5, ORANGE)),
    ),
    stat(
        "Database",
        "1 while every replica reaches its database; at 0 feedback is still taken, and nobody is judged.",
        f"min(triptych_database_up{{{NAMESPACE}}})",
        thresholds=((None, RED), (1, GREEN)),
    ),
    stat(
        "Journal",
        "How full the fullest journal is: from 80% on predictions are refused, at 100% feedback too.",
        f"max({JOURNAL})",
        "percentunit",
        ((None, GREEN), (0.4, ORANGE), (0.8, RED)),
    ),
    stat(
        "Last heard of",
        "Longest time since the experiments service told a gateway what runs; with what it told last, gateways go on.",
        f"max(triptych_routing_age_seconds{{{NAMESPACE}}})",
        "s",
        ((None, GREEN), (10, ORANGE), (60, RED)),
    ),
)
_REQUESTS = (
    Panel(
        "Requests by arm",
        "Requests that were dealt an arm, each second: as the weights say, over many keys.",
        [
            Query(
                rate(f"triptych_experiment_requests_total{{{NAMESPACE}}}", "experiment", "arm"),
                "{{experiment}} {{arm}}",
            )
        ],
        "reqps",
        stacked=True,
    ),
    Panel(
        "Answered by the arm's own version",
        "Share of an arm's requests that its version answered; the rest fell back on another one, failed, or was void.",
        [
            Query(
                rate(f'triptych_experiment_requests_total{{{NAMESPACE},outcome="answered"}}', "experiment", "arm")
                + " / "
                + rate(f"triptych_experiment_requests_total{{{NAMESPACE}}}", "experiment", "arm"),
                "{{experiment}} {{arm}}",
            )
        ],
        "percentunit",
        most=1,
    ),
    Panel(
        "Given to another version",
        "Requests that another version answered than an experiment or a pin had chosen: callers see no failure.",
        [Query(rate(f"triptych_version_fallbacks_total{{{NAMESPACE}}}", "cause"), "{{cause}}")],
        "reqps",
    ),
    Panel(
        "Shadows",
        "Requests that shadows saw, those that load or a restart left unfinished, and those that they were not shown "
        "so that callers do not wait.",
        [Query(rate(f"triptych_shadows_total{{{NAMESPACE}}}", "outcome"), "{{outcome}}")],
        "reqps",
        stacked=True,
    ),
    Panel(
        "Candidates by advice",
        "What is advised of the candidates and shadows that are being compared.",
        [Query(f"max by (advice) (triptych_experiment_candidates{{{NAMESPACE}}})", "{{advice}}")],
    ),
    Panel(
        "Decisions",
        "Entries in the log of decisions, by people and by rules; what and why is in `triptych experiment report`.",
        [Query(f"sum by (action) (increase(triptych_experiment_decisions_total{{{NAMESPACE}}}[5m]))", "{{action}}")],
        stacked=True,
    ),
)
_EVIDENCE = (
    Panel(
        "Evidence",
        "Exposures, predictions and shadows' answers that gateways send, each second; all that is not `sent` is lost.",
        [Query(rate(f"triptych_evidence_total{{{NAMESPACE}}}", "kind", "outcome"), "{{kind}} {{outcome}}")],
        "cps",
        stacked=True,
    ),
    Panel(
        "Waiting to be sent",
        "Memory that evidence takes in each gateway while it waits; at the limit more of it is dropped.",
        [
            Query(f"max by (instance) (triptych_evidence_queue_bytes{{{NAMESPACE}}})", "{{instance}}"),
            Query(f"max(triptych_evidence_queue_bytes_limit{{{NAMESPACE}}})", "limit"),
        ],
        "bytes",
    ),
    Panel(
        "Time until it is safe",
        "How long the experiments service takes to write evidence to its disk and say so.",
        [
            Query(quantile(share, "grpc_server_handling_seconds", EVIDENCE_SERVICE), f"p{share * 100:g}")
            for share in (0.5, 0.99)
        ],
        "s",
    ),
    Panel(
        "Feedback",
        "Calls of the service of feedback, each second, by how they ended.",
        [
            Query(
                rate(f"grpc_server_handled_total{{{FEEDBACK}}}", "grpc_method", "grpc_code"),
                "{{grpc_method}} {{grpc_code}}",
            )
        ],
        "reqps",
    ),
    Panel(
        "Journal, not yet in the database",
        "What is safe on disk and not in the database: near 0, unless the database is away or slow.",
        [Query(f"max by (instance) (triptych_journal_waiting_bytes{{{NAMESPACE}}})", "{{instance}}")],
        "bytes",
    ),
    Panel(
        "Journal on disk",
        "Share of its limit that each journal takes: predictions are refused from 80% on, feedback at 100%.",
        [Query(f"max by (instance) ({JOURNAL})", "{{instance}}")],
        "percentunit",
        thresholds=((None, GREEN), (0.8, RED)),
        most=1,
    ),
)
_HEALTH = (
    Panel(
        "Since the last look",
        "Time since every running experiment was last looked at: seconds, or nobody is rolled back.",
        [Query(f"time() - max by (instance) (triptych_verdicts_timestamp_seconds{{{NAMESPACE}}})", "{{instance}}")],
        "s",
    ),
    Panel(
        "What gateways heard",
        "Questions of gateways what runs, each second: nothing new, a change, or no answer.",
        [Query(rate(f"triptych_routing_polls_total{{{NAMESPACE}}}", "outcome"), "{{outcome}}")],
        "reqps",
        stacked=True,
    ),
    Panel(
        "Went wrong",
        "Looks that failed, entries that the database refused, experiments that made no sense to a gateway.",
        [
            Query(f"sum(rate(triptych_verdict_failures_total{{{NAMESPACE}}}[{EVERY}]))", "looks"),
            Query(f"sum(rate(triptych_journal_refused_entries_total{{{NAMESPACE}}}[{EVERY}]))", "entries"),
            Query(f"sum(rate(triptych_routing_faults_total{{{NAMESPACE}}}[{EVERY}]))", "routing"),
        ],
        "cps",
    ),
)

EXPERIMENTS = Dashboard(
    "triptych-experiments",
    "Triptych / Experiments",
    "Who is answered by which version, what becomes known of it, and what was decided.",
    [("Now", _NOW), ("Requests and decisions", _REQUESTS), ("Evidence", _EVIDENCE), ("The service itself", _HEALTH)],
)
