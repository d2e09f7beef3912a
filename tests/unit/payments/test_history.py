"""The tree that follows from the chain's events, and events that can't be true."""

from __future__ import annotations

import pytest

from shale.errors import Refused
from shale.market.lease import EndReason
from shale.market.order import PayKey
from shale.payments.batch import Leaf
from shale.payments.history import BatchSettled, LeaseClosed, LeaseLocked, LeaseOperated, ShardHistory, tree_of
from shale.units import ZERO, Address, AttoFil, LeaseId

CLIENT = Address("0x" + "11" * 20)
ONE, TWO = (LeaseId(f"0x{n:062x}") for n in (1, 2))
KEYS = {ONE: PayKey("0x" + "0a" * 32, "0x" + "0b" * 32), TWO: PayKey("0x" + "0c" * 32, "0x" + "0d" * 32)}
INSERT, CLAIM, CLOSE = 1, 2, 4


def locked(lease: LeaseId) -> LeaseLocked:
    return LeaseLocked(1, lease, CLIENT, AttoFil(1000), KEYS[lease])


def operated(lease: LeaseId, index: int, flags: int, amount: int = 0) -> LeaseOperated:
    return LeaseOperated(2, lease, index, flags, AttoFil(amount), amount)


def test_a_leaf_is_what_the_last_operation_left() -> None:
    events = [
        locked(ONE), locked(TWO), operated(ONE, 5, INSERT | CLAIM, 10), operated(TWO, 2, INSERT),
        operated(ONE, 5, CLAIM, 30),
    ]  # fmt: skip
    assert tree_of(events) == [Leaf(2, TWO, KEYS[TWO]), Leaf(5, ONE, KEYS[ONE], AttoFil(30), 30)]


def test_a_closed_lease_leaves_its_index_free() -> None:
    events = [locked(ONE), locked(TWO), operated(ONE, 5, INSERT), operated(ONE, 5, CLAIM | CLOSE, 9)]
    assert tree_of(events) == []
    assert tree_of([*events, operated(TWO, 5, INSERT)]) == [Leaf(5, TWO, KEYS[TWO])]


def test_what_was_inserted_and_closed_at_once_never_stood_there() -> None:
    assert tree_of([locked(ONE), operated(ONE, 0, INSERT | CLAIM | CLOSE, 7)]) == []


@pytest.mark.parametrize(
    "events",
    [
        [operated(ONE, 0, INSERT)],
        [locked(ONE), operated(ONE, 0, CLAIM, 5)],
        [locked(ONE), operated(ONE, 2**20, INSERT)],
        [locked(ONE), locked(TWO), operated(ONE, 0, INSERT), operated(TWO, 0, INSERT)],
        [locked(ONE), locked(TWO), operated(ONE, 0, INSERT), operated(TWO, 0, CLAIM, 5)],
        [locked(ONE), operated(ONE, 0, INSERT | CLAIM, 9), operated(ONE, 0, CLAIM, 8)],
        [locked(ONE), operated(ONE, 0, INSERT), operated(ONE, 1, CLOSE)],
    ],
    ids=["no lock", "no insert", "index", "taken", "another's", "falling", "elsewhere"],
)
def test_events_that_contradict_each_other_are_refused(events: list[LeaseLocked | LeaseOperated]) -> None:
    with pytest.raises(Refused, match="contradict"):
        tree_of(events)


def test_a_history_tells_its_batches_and_what_was_closed() -> None:
    batch = BatchSettled(2, "0x01", "0x0a", "0x0b", 0, 8, AttoFil(7))
    closed = LeaseClosed(2, ONE, CLIENT, AttoFil(7), AttoFil(993), 7, EndReason.UNPAID)
    refunded = LeaseClosed(3, TWO, CLIENT, ZERO, AttoFil(1000), 0, EndReason.NONE)
    history = ShardHistory(CLIENT, 3, (locked(ONE), batch, operated(ONE, 0, 7, 7), closed, refunded))
    assert history.batches == [batch]
    assert history.closed == {ONE: closed, TWO: refunded}
