"""The tree that follows from the chain's events, and events that can't be true."""

from __future__ import annotations

import pytest

from shale.errors import Refused
from shale.market.lease import EndReason
from shale.market.order import PayKey
from shale.payments.batch import Leaf
from shale.payments.history import (
    BatchSettled,
    LeaseClosed,
    LeaseExited,
    LeaseLocked,
    LeaseOperated,
    ShardEvent,
    ShardHistory,
    tree_of,
)
from shale.units import ZERO, Address, AttoFil, LeaseId

CLIENT = Address("0x" + "11" * 20)
ONE, TWO = (LeaseId(f"0x{n:062x}") for n in (1, 2))
KEYS = {ONE: PayKey("0x" + "0a" * 32, "0x" + "0b" * 32), TWO: PayKey("0x" + "0c" * 32, "0x" + "0d" * 32)}
INSERT, CLAIM, CLOSE = 1, 2, 4


def locked(lease: LeaseId) -> LeaseLocked:
    return LeaseLocked(1, lease, CLIENT, AttoFil(1000), KEYS[lease])


def operated(lease: LeaseId, index: int, flags: int, amount: int = 0) -> LeaseOperated:
    return LeaseOperated(2, lease, index, flags, AttoFil(amount), amount)


def exited(lease: LeaseId, index: int) -> LeaseExited:
    return LeaseExited(3, lease, "0x0a", index)


def settled(old: str, new: str, block: int = 2) -> BatchSettled:
    return BatchSettled(block, "0x01", old, new, 0, 8, ZERO)


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


def test_the_leaf_of_an_exited_lease_stays_where_it_is() -> None:
    events = [locked(ONE), locked(TWO), operated(ONE, 5, INSERT | CLAIM, 9), exited(ONE, 5), operated(TWO, 4, INSERT)]
    assert tree_of(events) == [Leaf(4, TWO, KEYS[TWO]), Leaf(5, ONE, KEYS[ONE], AttoFil(9), 9)]
    assert ShardHistory(CLIENT, 3, tuple(events)).exited == {ONE}


def test_a_history_is_cut_behind_the_last_batch_that_led_to_a_root() -> None:
    events = (
        locked(ONE), operated(ONE, 0, INSERT), settled("E", "A", 4), locked(TWO), operated(TWO, 1, INSERT),
        settled("A", "B", 5), operated(TWO, 1, CLOSE), settled("B", "A", 6), exited(ONE, 0), settled("A", "C", 7),
    )  # fmt: skip
    whole = ShardHistory(CLIENT, 9, events)
    assert whole.at("A", "E") == ShardHistory(CLIENT, 6, events[:8])
    assert whole.at("B", "E") == ShardHistory(CLIENT, 5, events[:6])
    assert whole.at("C", "E") == ShardHistory(CLIENT, 7, events)
    assert whole.at("E", "E") == ShardHistory(CLIENT, 0, ())
    assert whole.at("D", "E") is None
    assert (whole.leads_to("C", "E"), whole.leads_to("A", "E")) == (True, False)


def test_a_history_with_a_batch_left_out_leads_only_to_what_came_before() -> None:
    history = ShardHistory(CLIENT, 9, (settled("E", "A", 4), settled("B", "C", 6)))
    assert history.at("A", "E") == ShardHistory(CLIENT, 4, history.events[:1])
    assert history.at("C", "E") is None
    assert not history.leads_to("C", "E")


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
        [locked(ONE), exited(ONE, 0)],
        [locked(ONE), locked(TWO), operated(ONE, 0, INSERT), exited(TWO, 0)],
        [locked(ONE), operated(ONE, 0, INSERT), exited(ONE, 0), exited(ONE, 0)],
        [locked(ONE), operated(ONE, 0, INSERT), exited(ONE, 0), operated(ONE, 0, CLOSE)],
        [locked(ONE), locked(TWO), operated(ONE, 0, INSERT), exited(ONE, 0), operated(TWO, 0, INSERT)],
    ],
    ids=[
        "no lock", "no insert", "index", "taken", "another's", "falling", "elsewhere",
        "left nothing", "left another's", "left twice", "left and closed", "left and reused",
    ],
)  # fmt: skip
def test_events_that_contradict_each_other_are_refused(events: list[ShardEvent]) -> None:
    with pytest.raises(Refused, match="contradict"):
        tree_of(events)


def test_a_history_tells_its_batches_and_what_was_closed() -> None:
    batch = BatchSettled(2, "0x01", "0x0a", "0x0b", 0, 8, AttoFil(7))
    closed = LeaseClosed(2, ONE, CLIENT, AttoFil(7), AttoFil(993), 7, EndReason.UNPAID)
    refunded = LeaseClosed(3, TWO, CLIENT, ZERO, AttoFil(1000), 0, EndReason.NONE)
    history = ShardHistory(CLIENT, 3, (locked(ONE), batch, operated(ONE, 0, 7, 7), closed, refunded))
    assert history.batches == [batch]
    assert history.closed == {ONE: closed, TWO: refunded}
