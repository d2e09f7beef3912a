"""The outbox: one wallet on one chain, its nonces handed out once, and what is gone is said to be gone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from shale.chain.database import Database
from shale.chain.delivery import Delivery, NotTaken
from shale.chain.intents import Intent, Purpose, State
from shale.chain.node import Landed, Node
from shale.chain.outbox import Gone, Outbox
from shale.chain.sender import Sender
from shale.chain.transactions import Draft, Fees, Signed, chain_of, signed
from shale.market.accounts import Account

ACCOUNT = Account.of_key(b"\x11" * 32)
DRAFT = Draft(None, b"\x60\x00", 5, 21_000)
FEES = Fees(10, 100)


def sign_for(chain_id: int, draft: Draft, nonce: int, fees: Fees) -> Signed:
    return signed(ACCOUNT, chain_id, nonce, draft, fees)


def added(outbox: Outbox, pending: int = 0, purpose: Purpose = Purpose()) -> Intent:  # noqa: B008 - frozen
    return outbox.add(DRAFT, FEES, pending, 1, lambda *parts: sign_for(outbox.chain_id, *parts), purpose)


def moved(outbox: Outbox, intent: Intent, pending: int) -> Intent:
    return outbox.move(intent, FEES, pending, 1, lambda *parts: sign_for(outbox.chain_id, *parts))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chain.db"


def test_two_chains_in_one_file_know_nothing_of_each_other(path: Path) -> None:
    one, two = (Outbox(Database(path), chain, ACCOUNT.address) for chain in (314, 314159))
    first = added(one, purpose=Purpose("deposit of 1 FIL", "deposit"))
    assert (two.open(), two.untold(), two.of_tx(first.newest.tx)) == ([], [], None)
    second = added(two)
    assert (first.nonce, second.nonce) == (0, 0)
    assert [chain_of(intent.newest.raw) for intent in (first, second)] == [314, 314159]
    assert [one.open(), two.open()] == [[first], [second]]


def test_whatever_contracts_they_are_for_two_intents_of_a_wallet_have_two_nonces(path: Path) -> None:
    one, two = (Outbox(Database(path), 314, ACCOUNT.address) for _ in range(2))
    assert [added(outbox, 7).nonce for outbox in (one, two, one)] == [7, 8, 9]


def test_a_sender_takes_no_outbox_of_another_chain_or_wallet() -> None:
    for outbox in (
        Outbox(Database(None), 314, ACCOUNT.address),
        Outbox(Database(None), 314159, Account.create().address),
    ):
        with pytest.raises(ValueError, match="another wallet's, or for another chain"):
            Sender(Node("http://127.0.0.1:1", 314159), ACCOUNT, outbox)


def test_an_intent_that_another_process_dropped_is_gone(path: Path) -> None:
    ours, theirs = (Outbox(Database(path), 314, ACCOUNT.address) for _ in range(2))
    seen = added(ours)
    theirs.drop(seen)
    landed = Landed(seen.newest.tx, 3, "0x", 1, 1, True, "")
    for use in (
        lambda: ours.get(seen),
        lambda: ours.mark(seen, State.SENT, strikes=1),
        lambda: ours.refused(seen, True),
        lambda: ours.replace(seen, Signed(b"", "0x12"), FEES, 2),
        lambda: moved(ours, seen, 1),
        lambda: ours.land(seen, State.MINED, landed, 3, lambda *parts: sign_for(314, *parts), DRAFT, lambda fees: fees),
    ):
        with pytest.raises(Gone):
            use()
    ours.drop(seen)
    ours.tell(seen)
    assert ours.open() == []


def test_a_look_that_is_late_undoes_nothing_that_another_has_seen(path: Path) -> None:
    """Its receipt came between the look at the receipts and the conclusion that there is none."""
    outbox = Outbox(Database(path), 314, ACCOUNT.address)
    seen = added(outbox)
    outbox.mark(seen, State.DONE, block=3, block_hash="0xb", tx=seen.newest.tx)
    assert outbox.mark(seen, State.DISPLACED, block=3).state is State.DONE


def test_a_late_look_at_its_receipt_brings_nothing_back_that_is_final(path: Path) -> None:
    """Its bytes are gone by then, and a node that is behind would make us send them again."""
    outbox = Outbox(Database(path), 314, ACCOUNT.address)
    seen = added(outbox)
    done = outbox.mark(seen, State.DONE, block=3, block_hash="0xb", tx=seen.newest.tx)
    landed = Landed(seen.newest.tx, 3, "0xb", 1, 1, True, "")
    sign = lambda *parts: sign_for(314, *parts)  # noqa: E731
    assert outbox.land(seen, State.MINED, landed, 3, sign, DRAFT, lambda fees: fees) == (done, [])
    assert outbox.open() == []


async def test_what_has_no_bytes_is_not_sent_and_told_in_one_line(path: Path) -> None:
    """As a file has it in which something final was brought back."""
    outbox = Outbox(Database(path), 314, ACCOUNT.address)
    seen = added(outbox)
    outbox.mark(seen, State.DONE, block=3, block_hash="0xb", tx=seen.newest.tx)
    with pytest.raises(NotTaken, match="are not kept"):
        await Delivery(Node("http://127.0.0.1:1", 314), ACCOUNT.address).push(outbox.get(seen))


def test_what_another_process_holds_never_stands_for_a_later_intent(path: Path) -> None:
    ours, theirs = (Outbox(Database(path), 314, ACCOUNT.address) for _ in range(2))
    seen = added(ours)
    theirs.drop(seen)
    other = added(theirs, purpose=Purpose("deposit of 1 FIL", "deposit"))
    with pytest.raises(Gone):
        ours.mark(seen, State.DISPLACED, block=9)
    ours.tell(seen)
    ours.drop(seen)
    assert theirs.open() == theirs.untold() == [other]


def test_what_is_moved_keeps_its_earlier_attempts_and_is_moved_once(path: Path) -> None:
    outbox = Outbox(Database(path), 314, ACCOUNT.address)
    first = added(outbox, 4)
    second = moved(outbox, first, 5)
    assert [attempt.nonce for attempt in second.attempts] == [4, 5]
    assert (second.newest.nonce, second.attempts[0]) == (5, first.newest)
    assert moved(outbox, first, 6) == second
    outbox.drop(second)
    assert (outbox.get(second).state, outbox.get(second).block) == (State.DISPLACED, second.newest.head)


def test_an_earlier_attempt_that_lands_leaves_the_later_nonce_to_one_that_does_nothing(path: Path) -> None:
    outbox = Outbox(Database(path), 314, ACCOUNT.address)
    first = added(outbox, 4, Purpose("deposit of 1 FIL", "deposit"))
    second = moved(outbox, first, 5)
    landed = Landed(first.newest.tx, 3, "0xb", 1, 1, True, "")
    void = Draft(ACCOUNT.address, b"", 0, 21_000)

    def land() -> tuple[Intent, list[Intent]]:
        return outbox.land(
            second, State.MINED, landed, 3, lambda *parts: sign_for(314, *parts), void, lambda fees: Fees(99, fees.most)
        )

    booked, (nothing,) = land()
    assert (booked.nonce, booked.state, booked.tx) == (4, State.MINED, first.newest.tx)
    assert (nothing.nonce, nothing.draft, nothing.newest.fees.tip) == (5, void, 99)
    assert "in place of a second deposit of 1 FIL" in nothing.name
    assert land() == (booked, [])


def test_what_should_be_done_once_stays_until_somebody_was_told(path: Path) -> None:
    outbox = Outbox(Database(path), 314, ACCOUNT.address)
    intent = added(outbox, purpose=Purpose("deposit of 1 FIL", "deposit"))
    added(outbox)
    for _ in range(2):
        assert [kept.id for kept in outbox.untold()] == [intent.id]
        outbox.mark(intent, State.DONE, block=3, tx=intent.newest.tx)
    outbox.tell(intent)
    assert outbox.untold() == []


def test_who_was_told_that_it_failed_is_to_be_told_when_it_is_made_after_all(path: Path) -> None:
    outbox = Outbox(Database(path), 314, ACCOUNT.address)
    intent = added(outbox, purpose=Purpose("deposit of 1 FIL", "deposit"))

    def land(*, ok: bool) -> bool:
        landed = Landed(intent.newest.tx, 3, "0xb", 1, 1, ok, "")
        state = State.MINED if ok else State.FAILED
        sign, fees = (lambda *parts: sign_for(314, *parts)), (lambda fees: fees)
        return outbox.land(intent, state, landed, 3, sign, DRAFT, fees)[0].told

    assert [land(ok=True), land(ok=False), land(ok=True)] == [False, True, False]
    outbox.tell(intent)
    assert land(ok=True)


OLD = """
CREATE TABLE intents (
  id INTEGER PRIMARY KEY, scope TEXT NOT NULL, sender TEXT NOT NULL, nonce INTEGER NOT NULL,
  recipient TEXT, data BLOB NOT NULL, value TEXT NOT NULL, gas INTEGER NOT NULL,
  state TEXT NOT NULL, block INTEGER NOT NULL DEFAULT 0, block_hash TEXT NOT NULL DEFAULT '',
  tx TEXT NOT NULL DEFAULT '', strikes INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX intents_open ON intents (scope, sender, state, nonce);
CREATE TABLE attempts (
  tx TEXT PRIMARY KEY, intent INTEGER NOT NULL REFERENCES intents (id) ON DELETE CASCADE,
  raw BLOB NOT NULL, tip TEXT NOT NULL, most TEXT NOT NULL, head INTEGER NOT NULL
);
CREATE INDEX attempts_intent ON attempts (intent);
"""
"""The tables as they were when intents were kept by their ledger's address."""


def test_a_file_that_was_kept_by_ledger_is_taken_over_by_what_its_bytes_are_for(path: Path) -> None:
    """One ledger's address on two chains; the second intent was signed for both by mistake; the third is done."""
    old = sqlite3.connect(path)
    old.executescript(OLD)
    for id, nonce, state in ((1, 7, "sent"), (2, 7, "sent"), (3, 6, "done")):
        values = (id, "0xledger", ACCOUNT.address, nonce, DRAFT.to, DRAFT.data, str(DRAFT.value), DRAFT.gas, state)
        old.execute(f"INSERT INTO intents VALUES ({', '.join('?' * 9)}, 0, '', '', 0)", values)
    for id, nonce, chain, most in ((1, 7, 314, 100), (2, 7, 314159, 100), (2, 7, 314, 130), (3, 6, 314, 0)):
        made = sign_for(chain, DRAFT, nonce, Fees(10, most))
        old.execute("INSERT INTO attempts VALUES (?, ?, ?, '10', ?, 1)", (made.tx, id, made.raw if most else b"", most))
    old.commit()
    old.close()

    for _ in range(2):
        one, two = (Outbox(Database(path), chain, ACCOUNT.address) for chain in (314, 314159))
        (first,), (second,) = one.open(), two.open()
        assert [(first.id, first.nonce), (second.id, second.nonce)] == [(1, 7), (2, 7)]
        assert [chain_of(attempt.raw) for attempt in (*first.attempts, *second.attempts)] == [314, 314159]
        assert (first.draft, first.newest.fees, first.newest.nonce) == (DRAFT, FEES, 7)
    fresh = added(one)
    assert (fresh.nonce, fresh.id) == (0, 4)
    one.drop(fresh)
    assert added(one).id == 5
    assert one.of_tx(sign_for(314, DRAFT, 6, Fees(10, 0)).tx) is None, (
        "it has no bytes: no chain is known to be its own"
    )
    with Database(path).read() as connection:
        assert connection.execute("SELECT count(*) FROM attempts WHERE intent = 3").fetchone()[0] == 1


REUSED = """
CREATE TABLE intents (
  id INTEGER PRIMARY KEY, sender TEXT NOT NULL, nonce INTEGER NOT NULL,
  recipient TEXT, data BLOB NOT NULL, value TEXT NOT NULL, gas INTEGER NOT NULL,
  state TEXT NOT NULL, block INTEGER NOT NULL DEFAULT 0, block_hash TEXT NOT NULL DEFAULT '',
  tx TEXT NOT NULL DEFAULT '', strikes INTEGER NOT NULL DEFAULT 0, chain INTEGER NOT NULL DEFAULT 0,
  label TEXT NOT NULL DEFAULT '', once TEXT NOT NULL DEFAULT '', owner TEXT NOT NULL DEFAULT '',
  told INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX intents_waiting ON intents (chain, sender, state, nonce);
CREATE TABLE attempts (
  tx TEXT PRIMARY KEY, intent INTEGER NOT NULL REFERENCES intents (id) ON DELETE CASCADE,
  raw BLOB NOT NULL, tip TEXT NOT NULL, most TEXT NOT NULL, head INTEGER NOT NULL, nonce INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX attempts_intent ON attempts (intent);
"""
"""The tables as they were when the id of an intent that was given up went to the next one."""


def test_a_file_whose_ids_were_given_twice_is_taken_over_whole(path: Path, tmp_path: Path) -> None:
    new = Outbox(Database(tmp_path / "new.db"), 314, ACCOUNT.address)
    first = moved(new, added(new, 4, Purpose("deposit of 1 FIL", "deposit")), 5)
    second = new.mark(added(new, 6), State.MINED, block=3, block_hash="0xb", tx="0xc")
    new._database.close()
    old = sqlite3.connect(path)
    old.executescript(REUSED)
    old.execute("ATTACH ? AS new", (str(tmp_path / "new.db"),))
    old.execute("INSERT INTO intents SELECT * FROM new.intents")
    old.execute("INSERT INTO attempts SELECT * FROM new.attempts")
    old.commit()
    old.close()

    for _ in range(2):
        outbox = Outbox(Database(path), 314, ACCOUNT.address)
        assert outbox.open() == [first, second]
        assert outbox.untold() == [first]
    last = added(outbox, 7)
    outbox.drop(last)
    assert added(outbox, 7).id == last.id + 1
    with outbox._database.read() as connection:
        assert connection.execute("SELECT count(*) FROM attempts WHERE intent = ?", (last.id,)).fetchone()[0] == 0
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'intents%' ORDER BY name")
        assert [row[0] for row in tables] == ["intents", "intents_waiting"]
