"""The deposit that is final, and the highest voucher within it: what a reorganisation of a top-up leaves to claim."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("leases") as table:
        table.add_column(sa.Column("sure_max", sa.BigInteger, nullable=False, server_default="0"))
        table.add_column(sa.Column("sure_seconds", sa.BigInteger, nullable=False, server_default="0"))
        table.add_column(sa.Column("sure_signature", sa.Text, nullable=False, server_default=""))
    connection = op.get_bind()
    names = ("lease_id", "order_json", "seconds", "voucher_signature", "sure_max", "sure_seconds", "sure_signature")
    leases = sa.table("leases", *(sa.column(name) for name in names))
    for row in connection.execute(sa.select(leases)).fetchall():
        # Whether a top-up is final isn't known here: the chain is asked again.
        most = int(json.loads(row.order_json)["max_seconds"])
        fits = row.seconds <= most
        connection.execute(
            sa.update(leases)
            .where(leases.c.lease_id == row.lease_id)
            .values(
                sure_max=most,
                sure_seconds=row.seconds if fits else 0,
                sure_signature=row.voucher_signature if fits else "",
            )
        )


def downgrade() -> None:
    with op.batch_alter_table("leases") as table:
        for name in ("sure_max", "sure_seconds", "sure_signature"):
            table.drop_column(name)
