"""The shelf: what is on it, what of it is offered, and that books of the first form are carried over."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.desks import PIECE, ROOT

from shale.errors import Closed, InputRefused, Refused
from shale.market.offer import MAX_DATASETS, Claim, Dataset, Entry, Piece
from shale.provider.shelf import Item, Place, Shelf
from shale.provider.store import Store, sqlite_url
from shale.units import Cid

OTHER = Cid("baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq")
CLAIM = Claim(5432, 9, 5_555_200)


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    store = await Store.open(sqlite_url(tmp_path / "provider.db"))
    yield Shelf(store, tmp_path / "indexes")
    await store.close()


def item(root: str = ROOT, name: str = "digits") -> Item:
    pieces = (Piece(PIECE, 1 << 20, CLAIM), Piece(OTHER, 2 << 20))
    listing = Dataset(name, Cid(root), PIECE, 9, 1, (Entry("a", 1, 9),), "hand-written", "CC0", "", pieces, 77)
    return Item(listing, (Place("/d/one.car", "9 1", 1000), Place("sector:/d/s-t01-9?offset=0&size=2MiB")))


async def test_a_dataset_comes_back_as_it_was_put_with_its_pieces_in_order(shelf: Shelf, tmp_path: Path) -> None:
    await shelf.add(item(), 5, [("a", 9)])
    (found,) = await shelf.all()
    assert found.listing == item().listing
    assert found.places == item().places
    assert found.holding.sources == ("/d/one.car", "sector:/d/s-t01-9?offset=0&size=2MiB")
    assert found.holding.index == tmp_path / "indexes" / ROOT


async def test_a_dataset_is_found_by_its_root_and_by_each_piece(shelf: Shelf, tmp_path: Path) -> None:
    for name in ("one.car", "s-t01-9"):
        (tmp_path / name).write_bytes(b"")
    places = (Place(str(tmp_path / "one.car")), Place(f"sector:{tmp_path}/s-t01-9?offset=0&size=2MiB"))
    await shelf.add(replace(item(), places=places), 5)
    for cid in (ROOT, PIECE, OTHER):
        assert (await shelf.find(cid)).listing.root == ROOT
    with pytest.raises(InputRefused):
        await shelf.find("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
    (tmp_path / "s-t01-9").unlink()
    with pytest.raises(InputRefused):
        await shelf.find(ROOT)


async def test_a_faulty_dataset_is_not_offered_and_its_first_fault_stays(shelf: Shelf) -> None:
    await shelf.add(item(), 5)
    await shelf.report_fault(Cid(ROOT), "one.car: offset 77: \x1b[2Jcorrupt", 8)
    await shelf.report_fault(Cid(ROOT), "later", 9)
    assert await shelf.readable() == []
    (found,) = await shelf.all()
    assert (found.fault, found.fault_at) == ("one.car: offset 77: ?[2Jcorrupt", 8)
    assert found.trouble == found.fault
    with pytest.raises(InputRefused):
        await shelf.find(ROOT)
    await shelf.add(item(), 10)
    assert await shelf.readable() == [], "whoever put it there again didn't know of the faults"
    await shelf.add(replace(item(), faults=2), 10)
    assert [found.fault for found in await shelf.readable()] == [""]


async def test_a_precise_fault_replaces_a_vague_one_and_outlives_what_was_read_meanwhile(shelf: Shelf) -> None:
    await shelf.add(item(), 5)
    await shelf.report_fault(Cid(ROOT), "something changed", 8)
    await shelf.report_fault(Cid(ROOT), "offset 77: corrupt", 9, precise=True)
    await shelf.add(item(), 10)
    await shelf.report_fault(Cid(ROOT), "something changed", 11)
    await shelf.report_fault(Cid(ROOT), "offset 99: corrupt", 12, precise=True)
    (found,) = await shelf.all()
    assert (found.fault, found.fault_at, found.faults) == ("offset 77: corrupt", 9, 4)


async def test_a_dataset_with_one_unreadable_piece_is_not_offered(shelf: Shelf) -> None:
    await shelf.add(item(), 5)
    (whole,) = await shelf.all()
    await shelf.set_unreadable(whole, {1: ("the file is gone", "")})
    assert await shelf.readable() == []
    assert [found.trouble for found in await shelf.all()] == ["the file is gone"]
    await shelf.set_unreadable(whole, {1: ("", "9 9")})
    (found,) = await shelf.readable()
    assert found.places[1].stamp == "9 9"


async def test_claims_come_and_go(shelf: Shelf) -> None:
    await shelf.add(item(), 5)
    await shelf.set_claims((await shelf.all())[0], [None, CLAIM])
    (found,) = await shelf.all()
    assert [piece.claim for piece in found.listing.pieces] == [None, CLAIM]


async def test_what_is_removed_leaves_nothing(shelf: Shelf) -> None:
    await shelf.add(item(), 5, [("a", 9)])
    await shelf.remove(ROOT)
    assert await shelf.all() == []
    with pytest.raises(Closed):
        await shelf.remove(ROOT)


async def test_a_full_shelf_takes_no_other_dataset_but_the_same_again(shelf: Shelf) -> None:
    for number in range(MAX_DATASETS):
        await shelf.add(item(f"root{number}", f"n{number:04}"), 5)
    with pytest.raises(Refused):
        await shelf.add(item("another"), 5)
    await shelf.add(item("root0", "renamed"), 6)
    assert len(await shelf.all()) == MAX_DATASETS


async def test_books_of_the_first_form_keep_their_datasets(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    from shale.provider import migrations

    path = tmp_path / "provider.db"
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    with sqlite3.connect(path) as database:
        entries = json.dumps([{"path": "a", "files": 1, "size": 9}])
        row = (ROOT, PIECE, "digits", "/d/digits.car", 9, 1, entries, 5)
        database.execute("INSERT INTO datasets VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    database.close()
    store = await Store.open(sqlite_url(path))
    (found,) = await Shelf(store).readable()
    assert (found.listing.name, found.places) == ("digits", (Place("/d/digits.car"),))
    assert [piece.cid for piece in found.listing.pieces] == [PIECE]
    await store.close()
