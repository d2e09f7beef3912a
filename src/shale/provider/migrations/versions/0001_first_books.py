"""The first books: leases, datasets, settlements."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(name: str, size: int | None = None, default: str | None = "") -> sa.Column[str]:
    kind = sa.String(size) if size else sa.Text()
    return sa.Column(name, kind, nullable=False, server_default=default)


def _number(name: str, default: str | None = "0") -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=default)


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("lease_id", sa.String(64), primary_key=True),
        _text("order_hash", 66, None),
        _text("order_json", None, None),
        _text("order_signature", None, None),
        _text("mount", 256, None),
        _text("host_key", None, None),
        _number("acceptance_deadline", None),
        _text("acceptance_signature", None, None),
        _text("confirmation_json"),
        _text("confirmation_signature"),
        _text("state", 16, None),
        _number("created_at", None),
        _number("started_at"),
        sa.Column("served", sa.Float(), nullable=False, server_default="0"),
        _text("paid", 32, "0"),
        _number("seconds"),
        _text("voucher_signature"),
        sa.Column("end_reason", sa.Integer(), nullable=False, server_default="0"),
        _number("ended_at"),
        _text("anchor_tx", 66),
        sa.Column("end_anchored", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("leaf_index", sa.Integer(), nullable=True),
        _text("leaf_amount", 32, "0"),
        _number("leaf_seconds"),
    )
    op.create_index("leases_by_state", "leases", ["state"])
    op.create_table(
        "datasets",
        sa.Column("root", sa.String(128), primary_key=True),
        _text("piece", 128, None),
        _text("name", 128, None),
        _text("path", None, None),
        _number("size", None),
        _number("files", None),
        _text("entries", None, None),
        _number("added_at", None),
    )
    op.create_table(
        "settlements",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        _text("state", 16, None),
        _number("created_at", None),
        _text("old_root", 66, None),
        _text("new_root", 66, None),
        _text("tx", 66),
        _number("gas"),
        _number("constraints"),
        _number("prove_millis"),
        _text("earned", 32, "0"),
        _text("refunded", 32, "0"),
        _text("operations", None, None),
    )


def downgrade() -> None:
    for table in ("settlements", "datasets", "leases"):
        op.drop_table(table)
