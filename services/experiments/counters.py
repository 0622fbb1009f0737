"""What is counted of facts and labels, once they are in the database."""

from prometheus_client import Counter

APPLIED_ROWS = Counter(
    "triptych_experiment_records",
    "Facts that were brought from the journal to the database, by what they are.",
    ("kind",),
)
LABELS = Counter(
    "triptych_feedback_labels",
    "Labels that were brought from the journal to the database: new ones, repeated ones, and, of the new ones, those "
    "about predictions that nobody knew.",
    ("outcome",),
)
