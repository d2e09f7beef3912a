"""The books of the ledger's first form are taken over: leases, leaves, and what was earned."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from tests.desks import Counter

from shale.market.order import order_to_json
from shale.payments.batch import Leaf
from shale.provider import migrations
from shale.provider.ledger_books import BatchState, LedgerBooks
from shale.provider.store import Store, sqlite_url
from shale.units import AttoFil, LeaseId

LEASES = [LeaseId(f"0x{n:062x}") for n in range(3)]


async def test_the_first_forms_books_are_taken_over(counter: Counter, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    _to(path, "0002")
    order = counter.order()
    with sqlite3.connect(path) as old:
        for number, (lease, state, index) in enumerate(
            zip(LEASES, ("running", "settled", "ended"), (4, None, None), strict=True)
        ):
            old.execute(
                "INSERT INTO leases (lease_id, order_hash, order_json, order_signature, mount, host_key,"
                " acceptance_deadline, acceptance_signature, state, created_at, paid, seconds, leaf_index, leaf_amount,"
                " leaf_seconds) VALUES (?, ?, ?, '0x', '', 'key', 1, '0x', ?, ?, '90', 9, ?, '70', 7)",
                (lease, lease + "00", json.dumps(order_to_json(order)), state, number, index),
            )
        operations = json.dumps([{"lease": LEASES[1], "index": 0, "close": True, "amount": "90", "seconds": 9}])
        for state in ("posted", "posting"):
            old.execute(
                "INSERT INTO settlements (state, created_at, old_root, new_root, tx, gas, earned, refunded, operations)"
                " VALUES (?, 5, '0x0', '0x1', '0xaa', 7, '90', '10', ?)",
                (state, operations),
            )
    store = await Store.open(sqlite_url(path))
    books = LedgerBooks(store)
    assert await books.tree() == [Leaf(4, LEASES[0], order.pay_key, AttoFil(70), 7)]
    held = await store.lease(LEASES[0])
    assert (held.lease.paid, held.max_seconds, held.sure_max) == (AttoFil(90), order.max_seconds, order.max_seconds)
    [final] = await books.kept(BatchState.FINAL)
    assert (final.proof.earned, final.settled_at, final.batch.leases) == (AttoFil(90), 5, (LEASES[1],))
    assert len(await books.kept(BatchState.DROPPED)) == 1
    await store.close()
    _to(path, "0002", up=False)
    with sqlite3.connect(path) as old:
        assert old.execute("SELECT leaf_index, leaf_amount, leaf_seconds FROM leases ORDER BY created_at").fetchall()[
            0
        ] == (4, "70", 7)


def _to(path: Path, revision: str, up: bool = True) -> None:
    config: Any = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        (command.upgrade if up else command.downgrade)(config, revision)
    engine.dispose()
