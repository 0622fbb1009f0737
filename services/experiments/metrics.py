"""What is counted of experiments, and how things stood when they were last looked at."""

from prometheus_client import Counter, Gauge

EXPERIMENTS = Gauge("triptych_experiments", "Experiments, by the state in which they are.", ("state",))
CANDIDATES = Gauge(
    "triptych_experiment_candidates", "Candidates and shadows of running experiments, by what is advised.", ("advice",)
)
DECISIONS = Counter("triptych_experiment_decisions", "Entries that were added to the log of decisions.", ("action",))
ROUTING_REVISION = Gauge("triptych_routing_revision", "What gateways are told has so many changes behind it.")
LOOKED = Gauge("triptych_verdicts_timestamp_seconds", "When every running experiment was last looked at, in Unix time.")
LOOK_FAILURES = Counter("triptych_verdict_failures", "Looks at a running experiment that failed.")
DATABASE_UP = Gauge("triptych_database_up", "1 while the database answers, else 0.")
