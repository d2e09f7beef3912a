"""Intents: what a wallet means to do, as the outbox keeps it: one transaction each, in all its signed forms."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from shale.chain.transactions import Draft, Fees


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
class Purpose:
    """What an intent is for. `text` is for people: `deposit of 4 FIL`.

    `once` names what shouldn't be done twice unasked, such as `deposit`: when a process ends before it knows what
    became of one, the next of the same name is held back (Sender.check_new). Empty for what may be repeated.
    """

    text: str = ""
    once: str = ""


NO_PURPOSE = Purpose()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signed form of an intent; `head` is the newest block when it was made."""

    tx: str
    nonce: int
    raw: bytes
    fees: Fees
    head: int


@dataclass(frozen=True, slots=True)
class Intent:
    """A transaction to be made. `block` and `tx` say where it is in a block, once it is; attempts are oldest first.

    `nonce` is the present one; an attempt under another is from before it was moved, and stays to be watched.
    `refused`: the only answer so far was that its nonce is used, so perhaps no node has it. While it is SENT, `strikes`
    counts the looks at which its nonce was seen used, the last at `block`. `owner` is the process that made it, `told`
    whether that one knows the outcome.
    """

    id: int
    nonce: int
    draft: Draft
    state: State
    block: int
    block_hash: str
    tx: str
    strikes: int
    refused: bool
    purpose: Purpose
    owner: str
    told: bool
    attempts: tuple[Attempt, ...]

    @property
    def offers(self) -> tuple[Attempt, ...]:
        """The attempts under the present nonce."""
        return tuple(attempt for attempt in self.attempts if attempt.nonce == self.nonce)

    @property
    def newest(self) -> Attempt:
        return self.offers[-1]

    @property
    def name(self) -> str:
        """For people: the transaction that stands for it, and what it is for."""
        return named(self.tx or self.newest.tx, self.purpose)


def named(tx: str, purpose: Purpose) -> str:
    return f"transaction {tx} ({purpose.text})" if purpose.text else f"transaction {tx}"
