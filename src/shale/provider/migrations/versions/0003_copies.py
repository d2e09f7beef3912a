"""Copies: a dataset may lie here more than once, and each copy has its own pieces, faults and checks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_DATASETS = (
    "root, piece, name, size, files, entries, added_at, description, licence, signer, checked_at, fault, fault_at"
)
_PIECES = "root, number, source, stamp, piece, raw_size, padded_size, claim, sector, term_end, unreadable"


def _text(name: str, size: int | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.String(size) if size else sa.Text(), nullable=False, server_default="")


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")


def _root() -> sa.Column[str]:
    return sa.Column("root", sa.String(128), primary_key=True)


def _copy() -> sa.Column[int]:
    return sa.Column("copy", sa.Integer(), primary_key=True, autoincrement=False, server_default="0")


def _dataset_columns() -> list[sa.Column[str] | sa.Column[int]]:
    return [
        sa.Column("piece", sa.String(128), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        _text("description"),
        _text("licence", 128),
        _text("signer", 42),
        _number("checked_at"),
        _text("fault"),
        _number("fault_at"),
    ]


def _piece_columns() -> list[sa.Column[str] | sa.Column[int]]:
    return [
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
    ]


def upgrade() -> None:
    op.create_table("copies", _root(), _copy(), *_dataset_columns(), _number("blocks_at"), _number("faults"))
    op.execute(f"INSERT INTO copies ({_DATASETS}) SELECT {_DATASETS} FROM datasets")  # noqa: S608  # our own words
    op.create_table("copy_pieces", _root(), _copy(), *_piece_columns())
    op.execute(f"INSERT INTO copy_pieces ({_PIECES}) SELECT {_PIECES} FROM pieces")  # noqa: S608  # our own words
    op.drop_table("datasets")
    op.drop_table("pieces")


def downgrade() -> None:
    op.create_table("datasets", _root(), *_dataset_columns())
    op.execute(f"INSERT INTO datasets ({_DATASETS}) SELECT {_DATASETS} FROM copies WHERE copy = 0")  # noqa: S608
    op.create_table("pieces", _root(), *_piece_columns())
    op.execute(f"INSERT INTO pieces ({_PIECES}) SELECT {_PIECES} FROM copy_pieces WHERE copy = 0")  # noqa: S608
    op.drop_table("copies")
    op.drop_table("copy_pieces")
