"""LedgerBooks: a tree is taken over whole, in however many statements."""

from __future__ import annotations

from pathlib import Path

import pytest

from shale.market.order import PayKey
from shale.payments.batch import Leaf
from shale.provider import ledger_books
from shale.provider.ledger_books import LedgerBooks
from shale.provider.store import Store, sqlite_url
from shale.units import AttoFil, LeaseId

KEY = PayKey("0x" + "01" * 32, "0x" + "02" * 32)


@pytest.mark.parametrize("many", [0, 1, 2, 3, 4, 5])
async def test_a_tree_is_taken_over_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    monkeypatch.setattr(ledger_books, "_MANY", 2)
    store = await Store.open(sqlite_url(tmp_path / "provider.db"))
    try:
        books = LedgerBooks(store)
        await books.replace_tree([Leaf(index, LeaseId(f"0x{index:062x}"), KEY) for index in (2, 7, 9)])
        leaves = [Leaf(index, LeaseId(f"0x{index + 1:062x}"), KEY, AttoFil(2**95), index) for index in range(many)]
        await books.replace_tree(reversed(leaves))
        assert (await books.tree(), await books.count_leaves()) == (leaves, many)
    finally:
        await store.close()
