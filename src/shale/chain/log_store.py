"""Log store: a scan's logs, its checkpoints and what its oldest logs were folded into, in the database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from sqlite3 import Connection

from shale.chain.database import Database

PAGE = 500
"""Logs that are read at once."""
_CHECKPOINTS = 200
"""Newest ones that are kept, beside those of blocks that aren't final."""
_SNAPSHOTS = 16
"""Folds at other roots than the newest that are kept of a scan."""

Position = tuple[int, int]
"""A log's block and its place in it."""
START: Position = (-1, -1)


@dataclass(frozen=True, slots=True)
class Log:
    """An event in a block of the present chain. Topics and data are 0x-hex."""

    block: int
    place: int
    block_hash: str
    tx: str
    topics: tuple[str, ...]
    data: str

    @property
    def position(self) -> Position:
        return self.block, self.place


class LogStore:
    """One scan's, by its name. Each change is one transaction, so a scan that is cut goes on where it was."""

    def __init__(self, database: Database, name: str, start: int) -> None:
        self._database = database
        self._name = name
        self._start = start

    @property
    def name(self) -> str:
        return self._name

    def next(self) -> int:
        """The first block that wasn't read yet."""
        with self._database.read() as connection:
            row = connection.execute("SELECT next FROM scans WHERE name = ?", (self._name,)).fetchone()
        return row[0] if row else self._start

    def count(self) -> int:
        """How many logs are kept."""
        with self._database.read() as connection:
            return int(connection.execute("SELECT count(*) FROM logs WHERE scan = ?", (self._name,)).fetchone()[0])

    def logs(self, after: Position = START, until: int | None = None, most: int = 2**62) -> Iterator[Log]:
        """Those behind a position, in the chain's order, up to and including block `until`, at most so many.

        No more than a page of them is in memory, and what changes meanwhile counts from the next page on.
        """
        while most and (page := self._page(after, until, min(most, PAGE))):
            yield from page
            after, most = page[-1].position, most - len(page)

    def _page(self, after: Position, until: int | None, most: int) -> list[Log]:
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT * FROM logs WHERE scan = ? AND (block, place) > (?, ?) AND block <= ?"
                " ORDER BY block, place LIMIT ?",
                (self._name, *after, 2**62 if until is None else until, most),
            ).fetchall()
        return [
            Log(row["block"], row["place"], row["hash"], row["tx"], tuple(json.loads(row["topics"])), row["data"])
            for row in rows
        ]

    def checkpoints(self) -> list[tuple[int, str]]:
        """Blocks and their hashes, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT block, hash FROM checkpoints WHERE scan = ? ORDER BY block DESC", (self._name,)
            ).fetchall()
        return [(row[0], row[1]) for row in rows]

    def keep(self, found: Iterable[Log], end: int, hashes: Mapping[int, str], final: int) -> None:
        """What was read up to and including block `end`. Of final blocks the newest checkpoints are enough."""
        with self._database.write() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO logs (scan, block, place, hash, tx, topics, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (self._name, log.block, log.place, log.block_hash, log.tx, json.dumps(log.topics), log.data)
                    for log in found
                ),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO checkpoints (scan, block, hash) VALUES (?, ?, ?)",
                [(self._name, block, block_hash) for block, block_hash in hashes.items()],
            )
            connection.execute(
                "DELETE FROM checkpoints WHERE scan = ?1 AND block <= (SELECT block FROM checkpoints"
                " WHERE scan = ?1 AND block <= ?2 ORDER BY block DESC LIMIT 1 OFFSET ?3)",
                (self._name, final, _CHECKPOINTS),
            )
            connection.execute("INSERT OR REPLACE INTO scans (name, next) VALUES (?, ?)", (self._name, end + 1))

    def forget(self, block: int) -> None:
        """All behind this block; all there is, if that was folded."""
        with self._database.write() as connection:
            row = connection.execute("SELECT block FROM folds WHERE scan = ? AND root = ''", (self._name,)).fetchone()
            if row is not None and row[0] > block:
                block = -1
            block = max(block, self._start - 1)
            self._delete(connection, block)
            connection.execute("INSERT OR REPLACE INTO scans (name, next) VALUES (?, ?)", (self._name, block + 1))

    def drop(self) -> None:
        """The scan and all that was kept of it."""
        with self._database.write() as connection:
            self._delete(connection, -1)
            connection.execute("DELETE FROM scans WHERE name = ?", (self._name,))

    def _delete(self, connection: Connection, block: int) -> None:
        """All behind a block."""
        connection.execute("DELETE FROM logs WHERE scan = ? AND block > ?", (self._name, block))
        connection.execute("DELETE FROM checkpoints WHERE scan = ? AND block > ?", (self._name, block))
        connection.execute("DELETE FROM folds WHERE scan = ? AND block > ?", (self._name, block))

    def position(self) -> Position:
        """Of the last log that was folded."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT block, place FROM folds WHERE scan = ? AND root = ''", (self._name,)
            ).fetchone()
        return (row[0], row[1]) if row else START

    def folded(self, root: str = "") -> tuple[Position, str] | None:
        """The last log that was folded, and what all up to it came to; or what they did at an older root."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT block, place, state FROM folds WHERE scan = ? AND root = ?", (self._name, root)
            ).fetchone()
        return ((row[0], row[1]), row[2]) if row else None

    def fold(self, before: Position, after: Position, state: str) -> bool:
        """Put `state` in the place of the logs up to `after`; False if another process has moved on from `before`."""
        with self._database.write() as connection:
            row = connection.execute(
                "SELECT block, place FROM folds WHERE scan = ? AND root = ''", (self._name,)
            ).fetchone()
            if (tuple(row) if row else START) != before:
                return False
            connection.execute("INSERT OR REPLACE INTO folds VALUES (?, '', ?, ?, ?)", (self._name, *after, state))
            connection.execute("DELETE FROM logs WHERE scan = ? AND (block, place) <= (?, ?)", (self._name, *after))
        return True

    def remember(self, root: str, at: Position, state: str) -> None:
        """What the logs came to at a root that is asked for, beside what they come to later."""
        with self._database.write() as connection:
            connection.execute("INSERT OR REPLACE INTO folds VALUES (?, ?, ?, ?, ?)", (self._name, root, *at, state))
            connection.execute(
                "DELETE FROM folds WHERE rowid IN (SELECT rowid FROM folds WHERE scan = ? AND root != ''"
                " ORDER BY rowid DESC LIMIT -1 OFFSET ?)",
                (self._name, _SNAPSHOTS),
            )
