"""The books when their database can't be used: our own error, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError
from tests.desks import Counter
from tests.locks import locked, never_wait

from shale.errors import Unavailable
from shale.market.lease import LeaseState
from shale.provider.store import Store, sqlite_url


async def test_locked_books_are_unavailable_and_say_why(counter: Counter) -> None:
    store, order = counter.desk.store, counter.order()
    await never_wait(store)
    with locked(store), pytest.raises(Unavailable, match=r"books can't be used just now \(database is locked\)") as no:
        await counter.hand_in(order)
    assert "\n" not in str(no.value)
    assert await store.leases() == []
    await counter.hand_in(order)
    assert [held.lease.state for held in await store.leases()] == [LeaseState.ACCEPTED]


async def test_a_file_that_is_no_database_is_unavailable(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "provider.db"
    path.write_bytes(b"this is a shopping list\n" * 100)
    with pytest.raises(Unavailable, match="not a database"):
        await Store.open(sqlite_url(path))


@pytest.mark.parametrize("mode", [None, 0o644])
async def test_the_books_are_their_owners_alone(tmp_path: Path, mode: int | None) -> None:
    path = tmp_path / "provider.db"
    if mode is not None:
        path.touch(mode)
        path.chmod(mode)
    store = await Store.open(sqlite_url(path))
    try:
        async with store.begin():
            modes = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
    finally:
        await store.close()
    assert modes == dict.fromkeys(("provider.db", "provider.db-wal", "provider.db-shm"), 0o600)


async def test_a_wrong_statement_stays_a_bug(counter: Counter) -> None:
    from sqlalchemy import insert

    from shale.provider import books

    with pytest.raises(IntegrityError):
        async with counter.desk.store.begin() as connection:
            await connection.execute(insert(books.leases).values(lease_id="0x1"))
