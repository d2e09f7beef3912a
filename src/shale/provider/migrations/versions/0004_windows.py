"""The ledger's second form: a tree of leaves of its own, proofs that are kept, top-ups, and what transactions cost."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _text(name: str, size: int | None = None, default: str = "") -> sa.Column[str]:
    return sa.Column(name, sa.String(size) if size else sa.Text(), nullable=False, server_default=default)


def _number(name: str, default: str = "0") -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=default)


def upgrade() -> None:
    leaves = op.create_table(
        "tree_leaves",
        sa.Column("leaf_index", sa.Integer(), primary_key=True, autoincrement=False),
        _text("lease_id", 64),
        _text("key_x", 66),
        _text("key_y", 66),
        _text("amount", 32),
        _number("seconds"),
    )
    rows = op.get_bind().execute(
        sa.text(
            "SELECT lease_id, order_json, leaf_index, leaf_amount, leaf_seconds FROM leases"
            " WHERE leaf_index IS NOT NULL AND state <> 'settled'"
        )
    )
    op.bulk_insert(
        leaves,
        [
            {
                "leaf_index": row.leaf_index,
                "lease_id": row.lease_id,
                "key_x": json.loads(row.order_json)["pay_key"]["x"],
                "key_y": json.loads(row.order_json)["pay_key"]["y"],
                "amount": row.leaf_amount,
                "seconds": row.leaf_seconds,
            }
            for row in rows
        ],
    )
    with op.batch_alter_table("leases") as table:
        for name in ("leaf_index", "leaf_amount", "leaf_seconds"):
            table.drop_column(name)
        table.add_column(_number("extra_seconds"))
        table.add_column(_number("closed_block"))
    with op.batch_alter_table("settlements") as table:
        for column in (
            sa.Column("size", sa.Integer(), nullable=False, server_default="8"),
            _number("leaf_window"),
            _number("block"),
            _text("fee", 32, "0"),
            _number("settled_at"),
            _number("witness_millis"),
            _text("proof"),
        ):
            table.add_column(column)
    # What was under way has no proof that could be kept: it is planned anew. Old blocks are final by now.
    op.execute("UPDATE settlements SET state = 'dropped' WHERE state = 'posting'")
    op.execute("UPDATE settlements SET state = 'final', settled_at = created_at WHERE state = 'posted'")
    op.create_table(
        "postings",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        _text("kind", 16),
        _number("at"),
        _text("tx", 66),
        _number("block"),
        _number("gas"),
        _text("fee", 32, "0"),
        _text("amount", 32, "0"),
    )
    op.create_index("settlements_by_state", "settlements", ["state"])


def downgrade() -> None:
    op.drop_index("settlements_by_state", "settlements")
    op.drop_table("postings")
    op.execute("UPDATE settlements SET state = 'posted' WHERE state IN ('mined', 'final')")
    op.execute("UPDATE settlements SET state = 'dropped' WHERE state IN ('proven', 'posting')")
    with op.batch_alter_table("settlements") as table:
        for name in ("size", "leaf_window", "block", "fee", "settled_at", "witness_millis", "proof"):
            table.drop_column(name)
    with op.batch_alter_table("leases") as table:
        table.drop_column("extra_seconds")
        table.drop_column("closed_block")
        table.add_column(sa.Column("leaf_index", sa.Integer(), nullable=True))
        table.add_column(_text("leaf_amount", 32, "0"))
        table.add_column(_number("leaf_seconds"))
    op.execute(
        "UPDATE leases SET leaf_index = (SELECT leaf_index FROM tree_leaves t WHERE t.lease_id = leases.lease_id)"
    )
    for name in ("amount", "seconds"):
        op.execute(
            f"UPDATE leases SET leaf_{name} = (SELECT {name} FROM tree_leaves t WHERE t.lease_id = leases.lease_id)"  # noqa: S608
            " WHERE leaf_index IS NOT NULL"
        )
    op.drop_table("tree_leaves")
