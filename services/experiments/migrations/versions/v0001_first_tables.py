"""Makes every table that experiments need."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Makes them."""
    _experiments()
    _exposures()
    _predictions()
    _shadow_predictions()
    _images()
    _feedback()


def _experiments() -> None:
    op.create_table(
        "experiment",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("state", sa.String(128), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_experiment"),
    )
    op.create_table(
        "routing",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("holdout_share", sa.Double(), nullable=False),
        sa.Column("holdout_salt", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_routing"),
    )
    op.create_table(
        "pin",
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("version", sa.String(128), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", name="pk_pin"),
    )
    op.create_table(
        "decision",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("experiment", sa.String(128), nullable=False),
        sa.Column("action", sa.String(128), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decision"),
    )
    op.create_index("ix_decision_experiment", "decision", ["experiment"])
    op.create_table(
        "verdict",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("experiment", sa.String(128), nullable=False),
        sa.Column("candidate", sa.String(128), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_verdict"),
    )
    op.create_index("ix_verdict_experiment_time_us", "verdict", ["experiment", "time_us"])


def _exposures() -> None:
    op.create_table(
        "exposure",
        sa.Column("experiment", sa.String(128), nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key_hash", sa.LargeBinary(16), nullable=False),
        sa.Column("arm", sa.String(128), nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=True),
        sa.Column("slow", sa.Boolean(), nullable=True),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("experiment", "epoch", "key_hash", name="pk_exposure"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "outcome",
        sa.Column("hour", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("experiment", sa.String(128), nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key_hash", sa.LargeBinary(16), nullable=False),
        sa.Column("arm", sa.String(128), nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("slow", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "experiment", "epoch", "key_hash", name="pk_outcome"),
        sqlite_with_rowid=False,
    )


def _predictions() -> None:
    op.create_table(
        "prediction",
        sa.Column("prediction_id", sa.String(128), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("version", sa.String(128), nullable=False),
        sa.Column("first_index", sa.Integer(), nullable=True),
        sa.Column("first_label", sa.Text(), nullable=True),
        sa.Column("top", sa.Text(), nullable=False),
        sa.Column("experiment", sa.String(128), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("arm", sa.String(128), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(16), nullable=True),
        sa.Column("fallback", sa.Boolean(), nullable=False),
        sa.Column("inclusion_probability", sa.Double(), nullable=False),
        sa.Column("image_digest", sa.LargeBinary(32), nullable=True),
        sa.Column("image_bytes", sa.BigInteger(), nullable=False),
        sa.Column("total_ms", sa.Double(), nullable=False),
        sa.Column("cached", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", name="pk_prediction"),
    )
    op.create_index("ix_prediction_experiment_epoch_arm", "prediction", ["experiment", "epoch", "arm"])
    op.create_index("ix_prediction_time_us", "prediction", ["time_us"])


def _shadow_predictions() -> None:
    op.create_table(
        "shadow_prediction",
        sa.Column("prediction_id", sa.String(128), nullable=False),
        sa.Column("experiment", sa.String(128), nullable=False),
        sa.Column("shadow", sa.String(128), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(128), nullable=False),
        sa.Column("first_index", sa.Integer(), nullable=True),
        sa.Column("first_label", sa.Text(), nullable=True),
        sa.Column("agrees", sa.Boolean(), nullable=True),
        sa.Column("total_ms", sa.Double(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", "experiment", "shadow", name="pk_shadow_prediction"),
    )
    op.create_index(
        "ix_shadow_prediction_experiment_epoch_shadow", "shadow_prediction", ["experiment", "epoch", "shadow"]
    )
    op.create_index("ix_shadow_prediction_time_us", "shadow_prediction", ["time_us"])


def _images() -> None:
    op.create_table(
        "image",
        sa.Column("prediction_id", sa.String(128), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", name="pk_image"),
    )
    op.create_index("ix_image_expires_us", "image", ["expires_us"])


def _feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("prediction_id", sa.String(128), nullable=False),
        sa.Column("feedback_id", sa.String(128), nullable=False),
        sa.Column("label_index", sa.Integer(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("source", sa.Integer(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", "feedback_id", name="pk_feedback"),
    )
    op.create_index("ix_feedback_received_us", "feedback", ["received_us"])
    op.create_table(
        "truth",
        sa.Column("prediction_id", sa.String(128), nullable=False),
        sa.Column("label_index", sa.Integer(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("source", sa.Integer(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("first_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", name="pk_truth"),
    )
    op.create_table(
        "forgotten",
        sa.Column("prediction_id", sa.String(128), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", name="pk_forgotten"),
    )
    op.create_table(
        "applied",
        sa.Column("journal", sa.String(128), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journal", name="pk_applied"),
    )
