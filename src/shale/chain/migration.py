"""Migration: brings a file of an earlier version to the present tables, in the transaction that opens it."""

from __future__ import annotations

import sqlite3

from shale.chain.transactions import chain_of

_COLUMNS = """
ALTER TABLE intents ADD COLUMN chain INTEGER NOT NULL DEFAULT 0;
ALTER TABLE intents ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE intents ADD COLUMN once TEXT NOT NULL DEFAULT '';
ALTER TABLE intents ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE intents ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
ALTER TABLE intents ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN nonce INTEGER NOT NULL DEFAULT 0;
UPDATE attempts SET nonce = (SELECT nonce FROM intents WHERE intents.id = attempts.intent);
DROP INDEX IF EXISTS intents_open;
ALTER TABLE intents DROP COLUMN scope
"""


def migrate(connection: sqlite3.Connection, intents: str) -> None:
    """`intents` makes that table as it is now. Foreign keys must be off."""
    columns = [row["name"] for row in connection.execute("PRAGMA table_info(intents)")]
    if "scope" in columns:
        _by_chain(connection)
    made = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'intents'").fetchone()
    if made is not None and "AUTOINCREMENT" not in made["sql"]:
        _ids_given_once(connection, intents)


def _by_chain(connection: sqlite3.Connection) -> None:
    """Intents were kept by their ledger's address once, which two chains can have in common.

    The bytes of an intent's first attempt say which chain it was meant for. Attempts that were signed for another one
    are left out: on this chain they can't land. What has no bytes is final, and stays aside as of chain 0.
    """
    for statement in _COLUMNS.split(";"):
        connection.execute(statement)
    meant: dict[int, int] = {}
    for row in connection.execute("SELECT intent, tx, raw FROM attempts WHERE raw != x'' ORDER BY rowid").fetchall():
        chain = chain_of(row["raw"])
        if meant.setdefault(row["intent"], chain) != chain:
            connection.execute("DELETE FROM attempts WHERE tx = ?", (row["tx"],))
    connection.executemany("UPDATE intents SET chain = ? WHERE id = ?", [(chain, id) for id, chain in meant.items()])


def _ids_given_once(connection: sqlite3.Connection, intents: str) -> None:
    """The id of an intent that was given up went to the next one. That is a table's nature, so it is made anew."""
    columns = ", ".join(row["name"] for row in connection.execute("PRAGMA table_info(intents)"))
    connection.execute("CREATE TABLE intents_before AS SELECT * FROM intents")
    connection.execute("DROP TABLE intents")
    connection.execute(intents)
    connection.execute(f"INSERT INTO intents ({columns}) SELECT {columns} FROM intents_before")  # noqa: S608 - ours
    connection.execute("DROP TABLE intents_before")
