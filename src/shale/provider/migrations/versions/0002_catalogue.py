"""The catalogue: a dataset lies in several pieces, is searched by file, and may be faulty."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _text(name: str, size: int | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.String(size) if size else sa.Text(), nullable=False, server_default="")


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")


def upgrade() -> None:
    op.create_table(
        "pieces",
        sa.Column("root", sa.String(128), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        _text("source"),
        _text("stamp"),
        _text("piece", 128),
        _number("raw_size"),
        _number("padded_size"),
        sa.Column("claim", sa.BigInteger(), nullable=True),
        sa.Column("sector", sa.BigInteger(), nullable=True),
        sa.Column("term_end", sa.BigInteger(), nullable=True),
        _text("unreadable"),
    )
    op.create_table(
        "dataset_files",
        sa.Column("root", sa.String(128), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        _text("path"),
        _text("folded"),
        _number("size"),
    )
    op.execute("INSERT INTO pieces (root, number, source, piece) SELECT root, 0, path, piece FROM datasets")
    with op.batch_alter_table("datasets") as table:
        table.drop_column("path")
        for column in (_text("description"), _text("licence", 128), _text("signer", 42), _number("checked_at"),
                       _text("fault"), _number("fault_at")):  # fmt: skip
            table.add_column(column)


def downgrade() -> None:
    with op.batch_alter_table("datasets") as table:
        for name in ("description", "licence", "signer", "checked_at", "fault", "fault_at"):
            table.drop_column(name)
        table.add_column(_text("path"))
    op.execute(
        "UPDATE datasets SET path = (SELECT source FROM pieces WHERE pieces.root = datasets.root AND number = 0)"
    )
    op.drop_table("dataset_files")
    op.drop_table("pieces")
