"""Outbox: each transaction that a wallet means to make, with its nonce and its signed bytes, from before it is sent.

One intent is one transaction: all its attempts have one nonce, so at most one of them can be in a chain, also after a
crash and around a reorganisation. Two intents are two transactions, even with equal content.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from shale.chain.database import Database
from shale.chain.transactions import Draft, Fees, Signed
from shale.units import Address

MAX_OPEN = 8
"""Transactions of a wallet that wait at once: nodes of Filecoin take ten of one that isn't theirs."""
_KEPT = 1000
"""Finished ones that stay to be looked at."""


class State(Enum):
    """SENT: signed, and perhaps with a node. MINED and FAILED: in a block that a reorganisation may yet take back.

    DISPLACED: its nonce is another transaction's, or far off; a reorganisation may yet let it in. DONE: final.
    """

    SENT = "sent"
    MINED = "mined"
    FAILED = "failed"
    DISPLACED = "displaced"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signed form of an intent; `head` is the newest block when it was made."""

    tx: str
    raw: bytes
    fees: Fees
    head: int


@dataclass(frozen=True, slots=True)
class Intent:
    """A transaction to be made. `block` and `tx` say where it is in a block, once it is; attempts are oldest first."""

    id: int
    nonce: int
    draft: Draft
    state: State
    block: int
    block_hash: str
    tx: str
    strikes: int
    attempts: tuple[Attempt, ...]

    @property
    def newest(self) -> Attempt:
        return self.attempts[-1]


Sign = Callable[[int, Fees], Signed]
"""Signs an intent's transaction with a nonce and an offer."""


class Full(Exception):
    """So many of the wallet's transactions wait that no more may be made now."""


class Outbox:
    """The intents of one wallet with one deployment (`scope`)."""

    def __init__(self, database: Database, scope: str, sender: Address) -> None:
        self._database = database
        self._scope = scope
        self._sender = sender

    def add(self, draft: Draft, fees: Fees, pending: int, head: int, sign: Sign) -> Intent:
        """Keep a new intent under the next free nonce, signed; durable when it returns, nothing is sent.

        `pending` is the wallet's next nonce as the node sees it. Raises Full.
        """
        with self._database.write() as connection:
            waiting = self._nonces(connection, State.SENT)
            if len(waiting) >= MAX_OPEN:
                raise Full
            nonce = _free(pending, self._taken(connection))
            row = connection.execute(
                "INSERT INTO intents (scope, sender, nonce, recipient, data, value, gas, state)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 'sent')",
                (self._scope, self._sender, nonce, draft.to, draft.data, str(draft.value), draft.gas),
            ).lastrowid
            assert row is not None
            _offer(connection, row, nonce, fees, head, sign)
            return _load(connection, row)

    def move(self, intent: Intent, fees: Fees, pending: int, head: int, sign: Sign) -> Intent:
        """Give an intent that no node has taken another nonce: its earlier attempts are forgotten."""
        with self._database.write() as connection:
            nonce = _free(pending, self._taken(connection))  # its own counts as taken: that one is somebody else's
            connection.execute("DELETE FROM attempts WHERE intent = ?", (intent.id,))
            connection.execute("UPDATE intents SET nonce = ?, strikes = 0 WHERE id = ?", (nonce, intent.id))
            _offer(connection, intent.id, nonce, fees, head, sign)
            return _load(connection, intent.id)

    def replace(self, intent: Intent, made: Signed, fees: Fees, head: int) -> Intent:
        """Keep one more attempt, unless another process has made one in the meantime."""
        with self._database.write() as connection:
            present = _load(connection, intent.id)
            if present.newest.tx == intent.newest.tx and present.state is State.SENT:
                _insert(connection, intent.id, made, fees, head)
            return _load(connection, intent.id)

    def drop(self, intent: Intent) -> None:
        """Forget an intent that no node has taken."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM intents WHERE id = ?", (intent.id,))

    def mark(
        self, intent: Intent, state: State, *, block: int = 0, block_hash: str = "", tx: str = "", strikes: int = 0
    ) -> Intent:
        with self._database.write() as connection:
            connection.execute(
                "UPDATE intents SET state = ?, block = ?, block_hash = ?, tx = ?, strikes = ? WHERE id = ?",
                (state.value, block, block_hash, tx, strikes, intent.id),
            )
            if state is State.DONE:
                connection.execute(
                    "DELETE FROM intents WHERE state = 'done' AND id <= (SELECT max(id) FROM intents) - ?", (_KEPT,)
                )
                connection.execute("UPDATE attempts SET raw = x'' WHERE intent = ?", (intent.id,))
            return _load(connection, intent.id)

    def _taken(self, connection: sqlite3.Connection) -> set[int]:
        """What was in a block keeps its nonce, also once a reorganisation has taken it out: it goes in again."""
        return self._nonces(connection, State.SENT, State.MINED, State.FAILED)

    def _nonces(self, connection: sqlite3.Connection, *states: State) -> set[int]:
        rows = connection.execute(
            "SELECT nonce, state FROM intents WHERE scope = ? AND sender = ? AND state != 'done'",
            (self._scope, self._sender),
        )
        return {row[0] for row in rows if State(row[1]) in states}

    def get(self, intent: Intent) -> Intent:
        with self._database.read() as connection:
            return _load(connection, intent.id)

    def of_tx(self, tx: str) -> Intent | None:
        """The intent that one of whose attempts has this hash."""
        with self._database.read() as connection:
            row = connection.execute("SELECT intent FROM attempts WHERE tx = ?", (tx,)).fetchone()
            return _load(connection, row[0]) if row else None

    def open(self) -> list[Intent]:
        """All that aren't done, by nonce: those that a restart takes up again."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT id FROM intents WHERE scope = ? AND sender = ? AND state != 'done' ORDER BY nonce, id",
                (self._scope, self._sender),
            ).fetchall()
            return [_load(connection, row[0]) for row in rows]


def _free(pending: int, taken: set[int]) -> int:
    """The lowest nonce that nobody has: one that was given up is filled, or all behind it would wait for ever."""
    while pending in taken:
        pending += 1
    return pending


def _offer(connection: sqlite3.Connection, intent: int, nonce: int, fees: Fees, head: int, sign: Sign) -> None:
    """Keep an intent's first attempt. Under a nonce that was taken back, the same bytes may be another intent's."""
    made = sign(nonce, fees)
    while connection.execute("SELECT 1 FROM attempts WHERE tx = ?", (made.tx,)).fetchone():
        fees = Fees(fees.tip, fees.most + 1)
        made = sign(nonce, fees)
    _insert(connection, intent, made, fees, head)


def _insert(connection: sqlite3.Connection, intent: int, made: Signed, fees: Fees, head: int) -> None:
    connection.execute(
        "INSERT INTO attempts (tx, intent, raw, tip, most, head) VALUES (?, ?, ?, ?, ?, ?)",
        (made.tx, intent, made.raw, str(fees.tip), str(fees.most), head),
    )


def _load(connection: sqlite3.Connection, intent: int) -> Intent:
    row = connection.execute("SELECT * FROM intents WHERE id = ?", (intent,)).fetchone()
    attempts = connection.execute("SELECT * FROM attempts WHERE intent = ? ORDER BY rowid", (intent,)).fetchall()
    to = Address(row["recipient"]) if row["recipient"] else None
    return Intent(
        id=row["id"],
        nonce=row["nonce"],
        draft=Draft(to, row["data"], int(row["value"]), row["gas"]),
        state=State(row["state"]),
        block=row["block"],
        block_hash=row["block_hash"],
        tx=row["tx"],
        strikes=row["strikes"],
        attempts=tuple(
            Attempt(each["tx"], each["raw"], Fees(int(each["tip"]), int(each["most"])), each["head"])
            for each in attempts
        ),
    )
