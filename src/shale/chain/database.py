"""Database: the small SQLite file beside a wallet in which its transactions and the contracts' events are kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from shale.chain.migration import migrate
from shale.errors import ConfigError, Unavailable
from shale.paths import private_dir

_INTENTS = """
CREATE TABLE IF NOT EXISTS intents (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT NOT NULL, nonce INTEGER NOT NULL,
  recipient TEXT, data BLOB NOT NULL, value TEXT NOT NULL, gas INTEGER NOT NULL,
  state TEXT NOT NULL, block INTEGER NOT NULL DEFAULT 0, block_hash TEXT NOT NULL DEFAULT '',
  tx TEXT NOT NULL DEFAULT '', strikes INTEGER NOT NULL DEFAULT 0, chain INTEGER NOT NULL DEFAULT 0,
  label TEXT NOT NULL DEFAULT '', once TEXT NOT NULL DEFAULT '', owner TEXT NOT NULL DEFAULT '',
  told INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0
)
"""
"""An id is given once: a process may still hold the intent that had it when another gives that one up."""
_TABLES = f"""
{_INTENTS};
CREATE INDEX IF NOT EXISTS intents_waiting ON intents (chain, sender, state, nonce);
CREATE TABLE IF NOT EXISTS attempts (
  tx TEXT PRIMARY KEY, intent INTEGER NOT NULL REFERENCES intents (id) ON DELETE CASCADE,
  raw BLOB NOT NULL, tip TEXT NOT NULL, most TEXT NOT NULL, head INTEGER NOT NULL, nonce INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS attempts_intent ON attempts (intent);
CREATE TABLE IF NOT EXISTS scans (name TEXT PRIMARY KEY, next INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoints (
  scan TEXT NOT NULL, block INTEGER NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (scan, block)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logs (
  scan TEXT NOT NULL, block INTEGER NOT NULL, place INTEGER NOT NULL, hash TEXT NOT NULL, tx TEXT NOT NULL,
  topics TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (scan, block, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS folds (
  scan TEXT NOT NULL, root TEXT NOT NULL, block INTEGER NOT NULL, place INTEGER NOT NULL, state TEXT NOT NULL,
  PRIMARY KEY (scan, root)
);
"""

_FAULTS = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB,
}  # fmt: skip
"""What the world does to a file."""


class Database:
    """A file, or memory without one. A `write` is durable when it ends; processes that share the file take turns."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = RLock()
        try:
            if path is not None:
                private_dir(path.parent)
                path.touch(mode=0o600)
            # Transactions begin and end where we say, not where the driver guesses.
            self._connection = sqlite3.connect(
                path or ":memory:", timeout=30, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            # A table that is made anew must not take with it what refers to its rows.
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=OFF"):
                self._connection.execute(f"PRAGMA {pragma}")
            with self.write() as connection:
                migrate(connection, _INTENTS)
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
            self._connection.execute("PRAGMA foreign_keys=ON")
        except (OSError, sqlite3.DatabaseError, Unavailable) as error:
            raise ConfigError(f"{path} can't be used ({error})", "check its disk and mode") from None

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction, whole or not at all."""
        with self._lock, self._told():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._told():
            yield self._connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A disk that is full, a file that is broken or held by another process for too long, in our terms."""
        try:
            yield
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF not in _FAULTS:
                raise  # a mistake of ours
            raise Unavailable(
                f"{self._path or 'memory'} can't be used now ({error})", "check its disk, and try again"
            ) from None

    def close(self) -> None:
        with self._lock:
            self._connection.close()
