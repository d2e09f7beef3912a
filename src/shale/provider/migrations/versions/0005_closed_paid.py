"""What the ledger paid for leases that others closed: their last vouchers may have been worth more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("leases") as table:
        table.add_column(sa.Column("closed_paid", sa.String(32), nullable=False, server_default=""))


def downgrade() -> None:
    with op.batch_alter_table("leases") as table:
        table.drop_column("closed_paid")
