"""The tables, the same in SQLite and PostgreSQL.

Facts are appended, and never changed but where a column says so. Times are microseconds since 1970, UTC. What a caller
chose is bounded before it comes here.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

METADATA = MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"},
)
"""Of all tables; migrations bring a database there."""

ROW_ID = BigInteger().with_variant(Integer, "sqlite")
"""Counts up by itself; SQLite does so for `INTEGER PRIMARY KEY` only."""


def _name(column: str, *, key: bool = False, empty: bool = False) -> Column[str]:
    return Column(column, String(128), primary_key=key, nullable=False, default="" if empty else None)


def _time(column: str, *, nullable: bool = False) -> Column[int]:
    return Column(column, BigInteger, nullable=nullable)


EXPERIMENT = Table(
    "experiment",
    METADATA,
    _name("name", key=True),
    _name("model"),
    _name("state"),  # of ExperimentState, without its prefix, in small letters
    Column("revision", Integer, nullable=False),  # grows with each change, so that of two changes at once one fails
    _time("created_us"),
    _time("started_us", nullable=True),
    Column("definition", Text, nullable=False),  # triptych.experiments.v1.Experiment as JSON
)
ROUTING = Table(
    "routing",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),  # there is one row, 1
    Column("revision", BigInteger, nullable=False),  # grows with whatever gateways must know
    Column("holdout_share", Double, nullable=False),
    _name("holdout_salt"),
)
PIN = Table("pin", METADATA, _name("model", key=True), _name("version"), _time("time_us"))
DECISION = Table(
    "decision",
    METADATA,
    Column("id", ROW_ID, primary_key=True),
    _time("time_us"),
    _name("experiment", empty=True),
    _name("action"),
    _name("actor"),
    Column("reason", Text, nullable=False),
    Column("facts", Text, nullable=False, default=""),  # JSON
    Index(None, "experiment"),
)
VERDICT = Table(
    "verdict",
    METADATA,
    Column("id", ROW_ID, primary_key=True),
    _name("experiment"),
    _name("candidate"),
    _time("time_us"),
    Column("body", Text, nullable=False),  # triptych.experiments.v1.Verdict as JSON
    Index(None, "experiment", "time_us"),
)
EXPOSURE = Table(
    "exposure",
    METADATA,
    _name("experiment", key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("key_hash", LargeBinary(16), primary_key=True),
    _name("arm"),
    Column("failed", Boolean, nullable=True),  # NULL until a request of the key ends in a way that says something
    Column("slow", Boolean, nullable=True),  # the same
    _time("time_us"),
    sqlite_with_rowid=False,  # lies in the order of its key: to count an epoch takes a fifth of the time
)
OUTCOME = Table(  # the first of each key in each hour: a version may break after `exposure` has seen all of its keys
    "outcome",
    METADATA,
    Column("hour", Integer, primary_key=True, autoincrement=False),  # since 1970; leads, since rows go by the hour
    _name("experiment", key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("key_hash", LargeBinary(16), primary_key=True),
    _name("arm"),
    Column("failed", Boolean, nullable=False),
    Column("slow", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
PREDICTION = Table(
    "prediction",
    METADATA,
    _name("prediction_id", key=True),
    _name("request_id", empty=True),
    _name("tenant", empty=True),
    _time("time_us"),
    _name("model"),
    _name("version"),
    Column("first_index", Integer, nullable=True),  # NULL where `min_score` left nothing
    Column("first_label", Text, nullable=True),
    Column("top", Text, nullable=False),  # JSON: [[index, label, score], ...], at most five
    _name("experiment", empty=True),
    Column("epoch", Integer, nullable=False, default=0),
    _name("arm", empty=True),
    Column("key_hash", LargeBinary(16), nullable=True),
    Column("fallback", Boolean, nullable=False, default=False),
    Column("inclusion_probability", Double, nullable=False),
    Column("image_digest", LargeBinary(32), nullable=True),
    Column("image_bytes", BigInteger, nullable=False, default=0),
    Column("total_ms", Double, nullable=False),
    Column("cached", Boolean, nullable=False, default=False),
    Index(None, "experiment", "epoch", "arm"),
    Index(None, "time_us"),
)
SHADOW_PREDICTION = Table(
    "shadow_prediction",
    METADATA,
    _name("prediction_id", key=True),
    _name("experiment", key=True),
    _name("shadow", key=True),
    Column("epoch", Integer, nullable=False),
    _name("version"),
    Column("first_index", Integer, nullable=True),  # NULL where it failed
    Column("first_label", Text, nullable=True),
    Column("agrees", Boolean, nullable=True),  # with the answer; who failed does not; NULL: the answer had no class
    Column("total_ms", Double, nullable=False),
    _time("time_us"),
    Index(None, "experiment", "epoch", "shadow"),
    Index(None, "time_us"),
)
FEEDBACK = Table(
    "feedback",
    METADATA,
    _name("prediction_id", key=True),
    _name("feedback_id", key=True),  # callers number theirs, so an id means nothing without its prediction
    Column("label_index", Integer, nullable=True),  # of this and `label` one is set
    Column("label", Text, nullable=True),
    Column("source", Integer, nullable=False),  # of FeedbackSource, never 0
    _time("time_us"),  # when it was said
    _time("received_us"),
    Index(None, "received_us"),
)
TRUTH = Table(  # the label that holds: follows from `feedback`, and changes with it
    "truth",
    METADATA,
    _name("prediction_id", key=True),
    Column("label_index", Integer, nullable=True),
    Column("label", Text, nullable=True),
    Column("source", Integer, nullable=False),
    _time("time_us"),
    _time("first_us"),  # when the first label came, whatever it said: a correction makes no other event of it
)
IMAGE = Table(
    "image",
    METADATA,
    _name("prediction_id", key=True),
    Column("content", LargeBinary, nullable=False),
    _time("expires_us"),
    Index(None, "expires_us"),
)
FORGOTTEN = Table("forgotten", METADATA, _name("prediction_id", key=True), _time("time_us"))
APPLIED = Table(  # how far the facts of each journal are in these tables; changes together with them
    "applied",
    METADATA,
    _name("journal", key=True),
    Column("position", BigInteger, nullable=False),
)
