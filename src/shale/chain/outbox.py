"""Outbox: each transaction that a wallet means to make, with its nonce and its signed bytes, from before it is sent.

One intent is one transaction: all its attempts have one nonce, so at most one of them can be in a chain, also after a
crash and around a reorganisation. Two intents are two transactions, even with equal content. One that another's
transaction kept from its nonce gets another one; its earlier attempts stay, and when one of them lands after all, the
later nonce goes to a transaction that does nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace

from shale.chain.database import Database
from shale.chain.intents import NO_PURPOSE, Attempt, Intent, Purpose, State
from shale.chain.node import Landed
from shale.chain.transactions import Draft, Fees, Signed
from shale.process import own_name
from shale.units import Address

MAX_OPEN = 8
"""Transactions of a wallet that wait at once: nodes of Filecoin take ten of one that isn't theirs."""
_KEPT = 1000
"""Finished ones that stay to be looked at."""

Sign = Callable[[Draft, int, Fees], Signed]
"""Signs a transaction with a nonce and an offer."""


class Full(Exception):
    """So many of the wallet's transactions wait that no more may be made now."""


class Gone(Exception):
    """The intent isn't there any more: the process that made it gave it up, as no node would take it."""


class Outbox:
    """The intents of one wallet on one chain, whatever contracts they are for: they share the wallet's nonces."""

    def __init__(self, database: Database, chain_id: int, sender: Address) -> None:
        self._database = database
        self.chain_id = chain_id
        self.sender = sender
        self._owner = own_name()

    def add(
        self, draft: Draft, fees: Fees, pending: int, head: int, sign: Sign, purpose: Purpose = NO_PURPOSE
    ) -> Intent:
        """Keep a new intent under the next free nonce, signed; durable when it returns, nothing is sent.

        `pending` is the wallet's next nonce as the node sees it. Raises Full.
        """
        with self._database.write() as connection:
            waiting = self._nonces(connection, State.SENT)
            if len(waiting) >= MAX_OPEN:
                raise Full
            nonce = _free(pending, self._taken(connection))
            return self._insert(connection, draft, nonce, fees, head, sign, purpose)

    def fill(self, draft: Draft, nonce: int, fees: Fees, head: int, sign: Sign, purpose: Purpose) -> Intent | None:
        """Keep an intent that takes exactly this nonce; None if one of ours has it."""
        with self._database.write() as connection:
            if nonce in self._taken(connection):
                return None
            return self._insert(connection, draft, nonce, fees, head, sign, purpose)

    def move(self, intent: Intent, fees: Fees, pending: int, head: int, sign: Sign) -> Intent:
        """Give an intent that no node has taken another nonce, unless another process has done so meanwhile."""
        with self._database.write() as connection:
            present = _load(connection, intent.id)
            if present.nonce != intent.nonce or present.state is not State.SENT:
                return present
            nonce = _free(pending, self._taken(connection))  # its own counts as taken: that one is somebody else's
            connection.execute(
                "UPDATE intents SET nonce = ?, strikes = 0, block = 0, refused = 0 WHERE id = ?", (nonce, intent.id)
            )
            _offer(connection, intent.id, intent.draft, nonce, fees, head, sign)
            return _load(connection, intent.id)

    def replace(self, intent: Intent, made: Signed, fees: Fees, head: int) -> Intent:
        """Keep one more attempt, unless another process has made one in the meantime."""
        with self._database.write() as connection:
            present = _load(connection, intent.id)
            if present.newest.tx == intent.newest.tx and present.state is State.SENT:
                _attempt(connection, intent.id, made, intent.nonce, fees, head)
            return _load(connection, intent.id)

    def drop(self, intent: Intent) -> None:
        """Forget an intent that no node has taken; one that was moved stays to be watched."""
        with self._database.write() as connection:
            if any(attempt.nonce != intent.nonce for attempt in intent.attempts):
                head = max(attempt.head for attempt in intent.attempts)
                connection.execute("UPDATE intents SET state = 'displaced', block = ? WHERE id = ?", (head, intent.id))
            else:
                connection.execute("DELETE FROM intents WHERE id = ?", (intent.id,))

    def mark(
        self, intent: Intent, state: State, *, block: int = 0, block_hash: str = "", tx: str = "", strikes: int = 0
    ) -> Intent:
        """Keep where it stands, unless another look has come to something else meanwhile. Raises Gone."""
        with self._database.write() as connection:
            if _load(connection, intent.id).state is intent.state:
                _mark(connection, intent.id, state, block, block_hash, tx, strikes)
            return _load(connection, intent.id)

    def land(
        self,
        intent: Intent,
        state: State,
        landed: Landed,
        head: int,
        sign: Sign,
        void: Draft,
        over: Callable[[Fees], Fees],
    ) -> tuple[Intent, list[Intent]]:
        """Keep that one of its attempts is in a block.

        If that is one from before it was moved, its later nonces are taken in the same moment by `void`, which does
        nothing and offers `over` what the attempts there offered: these are returned, and must be sent. Raises Gone.
        """
        with self._database.write() as connection:
            present = _load(connection, intent.id)
            if present.state is State.DONE:
                return present, []  # its bytes are gone: a look that is late must not bring it back
            nonce = next((each.nonce for each in present.attempts if each.tx == landed.tx), present.nonce)
            _mark(connection, intent.id, state, landed.block, landed.block_hash, landed.tx, 0)
            # Who was told that it failed or was not made doesn't know what it did, if it is made after all.
            told = not landed.ok or (present.told and present.state not in (State.FAILED, State.DISPLACED))
            connection.execute(
                "UPDATE intents SET nonce = ?, refused = 0, told = ? WHERE id = ?", (nonce, told, intent.id)
            )
            later = {each.nonce: each.fees for each in present.attempts if each.nonce > nonce}
            purpose = Purpose(f"nothing, in place of a second {present.purpose.text or landed.tx}")
            voids = [
                self._insert(connection, void, each, over(fees), head, sign, purpose)
                for each, fees in later.items()
                if each not in self._taken(connection)
            ]
            return _load(connection, intent.id), voids

    def refused(self, intent: Intent, value: bool) -> Intent:
        """Keep whether the only answer so far is that its nonce is used. Raises Gone."""
        with self._database.write() as connection:
            connection.execute("UPDATE intents SET refused = ? WHERE id = ?", (value, intent.id))
            return _load(connection, intent.id)

    def tell(self, intent: Intent) -> None:
        """Whoever asked for it knows what became of it."""
        with self._database.write() as connection:
            connection.execute("UPDATE intents SET told = 1 WHERE id = ?", (intent.id,))

    def untold(self) -> list[Intent]:
        """Those that shouldn't be repeated unasked, and whose outcome nobody was told."""
        with self._database.read() as connection:
            return self._select(connection, "told = 0 AND once != ''")

    def get(self, intent: Intent) -> Intent:
        """As it stands now. Raises Gone."""
        with self._database.read() as connection:
            return _load(connection, intent.id)

    def of_tx(self, tx: str) -> Intent | None:
        """The intent that one of whose attempts has this hash."""
        with self._database.read() as connection:
            found = self._select(connection, "id IN (SELECT intent FROM attempts WHERE tx = ?)", tx)
            return found[0] if found else None

    def open(self) -> list[Intent]:
        """All that aren't done, by nonce: those that a restart takes up again."""
        with self._database.read() as connection:
            return self._select(connection, "state != 'done'")

    def _select(self, connection: sqlite3.Connection, condition: str, *values: object) -> list[Intent]:
        rows = connection.execute(
            f"SELECT id FROM intents WHERE chain = ? AND sender = ? AND {condition} ORDER BY nonce, id",  # noqa: S608 - ours
            (self.chain_id, self.sender, *values),
        ).fetchall()
        return [_load(connection, row[0]) for row in rows]

    def _taken(self, connection: sqlite3.Connection) -> set[int]:
        """What was in a block keeps its nonce, also once a reorganisation has taken it out: it goes in again."""
        return self._nonces(connection, State.SENT, State.MINED, State.FAILED)

    def _nonces(self, connection: sqlite3.Connection, *states: State) -> set[int]:
        rows = connection.execute(
            "SELECT nonce, state FROM intents WHERE chain = ? AND sender = ? AND state != 'done'",
            (self.chain_id, self.sender),
        )
        return {row[0] for row in rows if State(row[1]) in states}

    def _insert(
        self,
        connection: sqlite3.Connection,
        draft: Draft,
        nonce: int,
        fees: Fees,
        head: int,
        sign: Sign,
        purpose: Purpose,
    ) -> Intent:
        row = connection.execute(
            "INSERT INTO intents (chain, sender, nonce, recipient, data, value, gas, state, label, once, owner)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 'sent', ?, ?, ?)",
            (
                self.chain_id,
                self.sender,
                nonce,
                draft.to,
                draft.data,
                str(draft.value),
                draft.gas,
                purpose.text,
                purpose.once,
                self._owner,
            ),
        ).lastrowid
        assert row is not None
        _offer(connection, row, draft, nonce, fees, head, sign)
        return _load(connection, row)


def _free(pending: int, taken: set[int]) -> int:
    """The lowest nonce that nobody has: one that was given up is filled, or all behind it would wait for ever."""
    while pending in taken:
        pending += 1
    return pending


def _offer(
    connection: sqlite3.Connection, intent: int, draft: Draft, nonce: int, fees: Fees, head: int, sign: Sign
) -> None:
    """Keep a nonce's first attempt. Under a nonce that was taken back, the same bytes may be another intent's."""
    made = sign(draft, nonce, fees)
    while connection.execute("SELECT 1 FROM attempts WHERE tx = ?", (made.tx,)).fetchone():
        fees = replace(fees, most=fees.most + 1)
        made = sign(draft, nonce, fees)
    _attempt(connection, intent, made, nonce, fees, head)


def _attempt(connection: sqlite3.Connection, intent: int, made: Signed, nonce: int, fees: Fees, head: int) -> None:
    connection.execute(
        "INSERT INTO attempts (tx, intent, nonce, raw, tip, most, head) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (made.tx, intent, nonce, made.raw, str(fees.tip), str(fees.most), head),
    )


def _mark(
    connection: sqlite3.Connection, intent: int, state: State, block: int, block_hash: str, tx: str, strikes: int
) -> None:
    connection.execute(
        "UPDATE intents SET state = ?, block = ?, block_hash = ?, tx = ?, strikes = ? WHERE id = ?",
        (state.value, block, block_hash, tx, strikes, intent),
    )
    if state is State.DONE:
        connection.execute(
            "DELETE FROM intents WHERE state = 'done' AND (told = 1 OR once = '')"
            " AND id <= (SELECT max(id) FROM intents) - ?",
            (_KEPT,),
        )
        connection.execute("UPDATE attempts SET raw = x'' WHERE intent = ?", (intent,))


def _load(connection: sqlite3.Connection, intent: int) -> Intent:
    row = connection.execute("SELECT * FROM intents WHERE id = ?", (intent,)).fetchone()
    if row is None:
        raise Gone
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
        refused=bool(row["refused"]),
        purpose=Purpose(row["label"], row["once"]),
        owner=row["owner"],
        told=bool(row["told"]),
        attempts=tuple(
            Attempt(each["tx"], each["nonce"], each["raw"], Fees(int(each["tip"]), int(each["most"])), each["head"])
            for each in attempts
        ),
    )
