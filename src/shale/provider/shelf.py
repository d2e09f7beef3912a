"""Shelf: the datasets that this provider holds, in its books: what each is, where its pieces lie, what ails it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shale.datasets.holding import Holding
from shale.datasets.stamp import local_file, stamp
from shale.errors import Closed, InputRefused, Refused, ShaleError
from shale.market.offer import MAX_DATASETS, Claim, Dataset, Entry, Piece
from shale.provider import books
from shale.provider.store import Store
from shale.units import Cid

MAX_SEARCHED = 100_000
"""Files of a dataset that are kept to be searched; of more, the first by path."""
MAX_REASON = 500
_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece lies: its source's text, what the source was like when it was checked, why it can't be read now."""

    source: str
    stamp: str = ""
    raw_size: int = 0
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A dataset on the shelf: `places` are those of `listing.pieces`, in their order."""

    listing: Dataset
    places: tuple[Place, ...]
    index: Path | None = None
    fault: str = ""
    fault_at: int = 0

    @property
    def holding(self) -> Holding:
        """The dataset as it is mounted."""
        return Holding(self.listing.root, tuple(place.source for place in self.places), self.index)

    @property
    def trouble(self) -> str:
        """Why it isn't offered; empty: it is."""
        return self.fault or next((place.unreadable for place in self.places if place.unreadable), "")


class Shelf:
    """Datasets by root CID. `indexes` is the folder of their indexes; without one, mounts make them anew."""

    def __init__(self, store: Store, indexes: Path | None = None) -> None:
        self._store = store
        self._indexes = indexes

    async def add(self, item: Item, at: int, files: Iterable[tuple[str, int]] = ()) -> None:
        """Put a dataset on the shelf, with the paths and sizes of its files; the same root replaces its record."""
        listing = item.listing
        async with self._store.begin() as connection:
            known = set((await connection.execute(select(books.datasets.c.root))).scalars())
            if len(known) >= MAX_DATASETS and listing.root not in known:
                raise Refused(
                    f"the shelf holds {MAX_DATASETS} datasets", "remove one with shale provider datasets remove"
                )
            await _drop(connection, listing.root)
            await connection.execute(insert(books.datasets).values(_dataset_row(item, at)))
            await connection.execute(insert(books.pieces), _piece_rows(item))
            for rows in _file_rows(listing.root, files):
                await connection.execute(insert(books.dataset_files), rows)

    async def remove(self, root: str) -> None:
        """Take a dataset off the shelf; its sources stay. Raises Closed if it isn't there."""
        async with self._store.begin() as connection:
            if not await _drop(connection, root):
                raise Closed(f"there is no dataset {root}", "see shale provider datasets list")

    async def all(self) -> list[Item]:
        async with self._store.read() as connection:
            pieces: dict[str, list[Row[Any]]] = {}
            for row in await connection.execute(select(books.pieces).order_by(books.pieces.c.number)):
                pieces.setdefault(row.root, []).append(row)
            rows = await connection.execute(select(books.datasets).order_by(books.datasets.c.name))
            return [self._item(row, pieces.get(row.root, [])) for row in rows]

    async def readable(self) -> list[Item]:
        """Only what is readable, and in which no mount has found a fault, is offered."""
        return [item for item in await self.all() if not item.trouble]

    async def find(self, cid: str) -> Item:
        """The readable dataset with this root or piece CID. Raises InputRefused when it isn't here."""
        named = [item for item in await self.readable() if item.listing.is_named(cid)]
        for item in sorted(named, key=lambda item: item.listing.root != cid):
            if await _is_there(item):
                return item
        raise InputRefused(f"the dataset {cid} isn't here", "see the provider's datasets with shale ls")

    async def report_fault(self, root: Cid, reason: str, at: int, *, replace: bool = False) -> None:
        """A mount found this wrong: the dataset isn't offered until a check finds it sound.

        The first fault stays, unless `replace`.
        """
        line = "".join(char if char.isprintable() else "?" for char in reason)[:MAX_REASON]
        async with self._store.begin() as connection:
            known = books.datasets.c.root == root
            await connection.execute(
                update(books.datasets)
                .where(known if replace else known & (books.datasets.c.fault == ""))
                .values(fault=line or "a block can't be read", fault_at=at)
            )

    async def set_unreadable(self, root: Cid, reasons: Mapping[int, tuple[str, str]]) -> None:
        """Note for pieces, by number, why they can't be read now (empty: they can) and their sources' stamps."""
        async with self._store.begin() as connection:
            for number, (reason, stamp) in reasons.items():
                await connection.execute(
                    update(books.pieces)
                    .where(books.pieces.c.root == root, books.pieces.c.number == number)
                    .values(unreadable=reason[:MAX_REASON], stamp=stamp)
                )

    async def set_claims(self, root: Cid, claims: Sequence[Claim | None]) -> None:
        """Note each piece's claim, in the order of the pieces."""
        async with self._store.begin() as connection:
            for number, claim in enumerate(claims):
                await connection.execute(
                    update(books.pieces)
                    .where(books.pieces.c.root == root, books.pieces.c.number == number)
                    .values(_claim_columns(claim))
                )

    def _item(self, row: Row[Any], pieces: list[Row[Any]]) -> Item:
        listing = Dataset(
            name=row.name,
            root=Cid(row.root),
            piece=Cid(row.piece),
            size=row.size,
            files=row.files,
            entries=tuple(Entry(e["path"], e["files"], e["size"]) for e in json.loads(row.entries)),
            description=row.description,
            licence=row.licence,
            signer=row.signer,
            pieces=tuple(
                Piece(Cid(p.piece), p.padded_size, None if p.claim is None else Claim(p.claim, p.sector, p.term_end))
                for p in pieces
            ),
            checked_at=row.checked_at,
        )
        places = tuple(Place(p.source, p.stamp, p.raw_size, p.unreadable) for p in pieces)
        index = None if self._indexes is None else self._indexes / row.root
        return Item(listing, places, index, row.fault, row.fault_at)


async def _is_there(item: Item) -> bool:
    """Whether its files are there at this moment; servers are asked on a schedule only."""
    try:
        for place in item.places:
            if local_file(place.source) is not None:
                await stamp(place.source)
    except ShaleError:
        return False
    return True


async def _drop(connection: AsyncConnection, root: str) -> bool:
    for table in (books.dataset_files, books.pieces):
        await connection.execute(delete(table).where(table.c.root == root))
    gone = await connection.execute(delete(books.datasets).where(books.datasets.c.root == root))
    return gone.rowcount > 0


def _dataset_row(item: Item, at: int) -> dict[str, Any]:
    listing = item.listing
    return {
        "root": listing.root,
        "piece": listing.piece,
        "name": listing.name,
        "size": listing.size,
        "files": listing.files,
        "entries": json.dumps([{"path": e.path, "files": e.files, "size": e.size} for e in listing.entries]),
        "added_at": at,
        "description": listing.description,
        "licence": listing.licence,
        "signer": listing.signer,
        "checked_at": listing.checked_at,
        "fault": item.fault,
        "fault_at": item.fault_at,
    }


def _piece_rows(item: Item) -> list[dict[str, Any]]:
    return [
        {
            "root": item.listing.root,
            "number": number,
            "source": place.source,
            "stamp": place.stamp,
            "piece": piece.cid,
            "raw_size": place.raw_size,
            "padded_size": piece.padded_size,
            "unreadable": place.unreadable,
        }
        | _claim_columns(piece.claim)
        for number, (piece, place) in enumerate(zip(item.listing.pieces, item.places, strict=True))
    ]


def _claim_columns(claim: Claim | None) -> dict[str, int | None]:
    if claim is None:
        return {"claim": None, "sector": None, "term_end": None}
    return {"claim": claim.id, "sector": claim.sector, "term_end": claim.term_end}


def _file_rows(root: Cid, files: Iterable[tuple[str, int]]) -> Iterable[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for number, (path, size) in enumerate(files):
        if number == MAX_SEARCHED:
            break
        rows.append({"root": root, "number": number, "path": path, "folded": path.casefold(), "size": size})
        if len(rows) == _ROWS:
            yield rows
            rows = []
    if rows:
        yield rows
