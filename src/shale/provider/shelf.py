"""Shelf: the datasets that this provider holds, in its books: what each is, where its pieces lie, what ails it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, update
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
MAX_COPIES = 16
"""Of one dataset."""
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
    """A copy of a dataset on the shelf: `places` are those of `listing.pieces`, in their order.

    `blocks_at`: when all blocks were last hashed and matched. `faults` counts those that were ever noted.
    `doubt`: why it must be read again before it is offered.
    """

    listing: Dataset
    places: tuple[Place, ...]
    index: Path | None = None
    fault: str = ""
    fault_at: int = 0
    copy: int = 0
    blocks_at: int = 0
    faults: int = 0
    doubt: str = ""

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(place.source for place in self.places)

    @property
    def holding(self) -> Holding:
        """The dataset as it is mounted."""
        return Holding(self.listing.root, self.sources, self.index)

    @property
    def trouble(self) -> str:
        """Why it can't be offered; empty: it can."""
        return self.fault or next((place.unreadable for place in self.places if place.unreadable), self.doubt)

    @property
    def rank(self) -> tuple[int, ...]:
        """The least is the best copy: readable, claimed, claimed for longest, on this machine, here for longest."""
        ends = [piece.claim.term_end for piece in self.listing.pieces if piece.claim is not None]
        unclaimed = 2 if not ends else int(len(ends) < len(self.listing.pieces))
        far = any(local_file(place.source) is None for place in self.places)
        return (int(bool(self.trouble)), unclaimed, -min(ends, default=0), int(far), self.copy)


def best(items: Iterable[Item]) -> list[Item]:
    """The best copy of each dataset, in the order of the datasets."""
    chosen: dict[Cid, Item] = {}
    for item in items:
        known = chosen.get(item.listing.root)
        if known is None or item.rank < known.rank:
            chosen[item.listing.root] = item
    return list(chosen.values())


def index_name(root: str, copy: int) -> str:
    """The file of a copy's index in the folder of indexes."""
    return f"{root}.{copy}" if copy else root


class Shelf:
    """Datasets by root CID, each in one copy or more. `indexes` is the folder of their indexes.

    Without it mounts make them anew.
    """

    def __init__(self, store: Store, indexes: Path | None = None) -> None:
        self._store = store
        self._indexes = indexes
        # The faults that were noted as precise, by root and copy. After a restart the next precise one is noted anew.
        self._precise: dict[tuple[str, int], str] = {}
        # Kept here only: after a restart the first look finds again what gives rise to them.
        self._doubts: dict[tuple[str, int], str] = {}

    async def add(
        self,
        item: Item,
        at: int,
        files: Iterable[tuple[str, int]] = (),
        place: Callable[[int], None] = lambda copy: None,
    ) -> int:
        """Put a dataset on the shelf, with the paths and sizes of its files; the number of its copy.

        The same root from the same sources replaces its record, from others it is a copy more. A fault that was noted
        since `item.faults` were counted stays. `place` is told of the copy before it is on the shelf, and puts there
        what belongs to it. Raises Refused when the shelf is full.
        """
        root = item.listing.root
        async with self._store.begin() as connection:
            roots = select(books.copies.c.root).distinct()
            known = set((await connection.execute(roots)).scalars())
            if len(known) >= MAX_DATASETS and root not in known:
                raise full()
            others = await self._copies(connection, root)
            same = next((other for other in others if other.sources == item.sources), None)
            if same is None and len(others) >= MAX_COPIES:
                raise Refused(f"{root} is here {MAX_COPIES} times already", "remove a copy that you don't need")
            taken = {other.copy for other in others}
            copy = same.copy if same is not None else min(set(range(MAX_COPIES)) - taken)
            if same is not None and same.faults > item.faults:
                item = replace(item, fault=same.fault, fault_at=same.fault_at, faults=same.faults)
            await _drop(connection, root, copy)
            await connection.execute(insert(books.copies).values(_copy_row(item, copy, at)))
            await connection.execute(insert(books.pieces), _piece_rows(item, copy))
            # All copies have the same files: the root says which.
            await connection.execute(delete(books.dataset_files).where(books.dataset_files.c.root == root))
            for rows in _file_rows(root, files):
                await connection.execute(insert(books.dataset_files), rows)
            place(copy)
        self._doubts.pop((root, copy), None)
        return copy

    async def describe(self, item: Item) -> None:
        """Give all copies the name of this one, and those of the same pieces what a manifest says of them."""
        listing = item.listing
        said = {"description": listing.description, "licence": listing.licence, "signer": listing.signer}
        table = books.copies
        async with self._store.begin() as connection:
            for other in await self._copies(connection, listing.root):
                same = listing.signer and _cids(other) == _cids(item)
                await connection.execute(
                    update(table)
                    .where(table.c.root == listing.root, table.c.copy == other.copy)
                    .values({"name": listing.name} | (said if same else {}))
                )

    async def remove(self, root: str, copy: int | None = None) -> None:
        """Take a dataset off the shelf, or one copy of it; its sources stay. Raises Closed if it isn't there."""
        async with self._store.begin() as connection:
            if not await _drop(connection, root, copy):
                what = f"dataset {root}" if copy is None else f"copy {copy} of {root}"
                raise Closed(f"there is no {what}", "see shale provider datasets list")
            if not await self._copies(connection, root):
                await connection.execute(delete(books.dataset_files).where(books.dataset_files.c.root == root))
        for known in [known for known in self._doubts if known[0] == root and copy in (None, known[1])]:
            del self._doubts[known]

    def set_doubt(self, item: Item, why: str) -> None:
        """This copy isn't offered until it is added again."""
        self._doubts[item.listing.root, item.copy] = why

    async def all(self) -> list[Item]:
        """Every copy, by name."""
        async with self._store.read() as connection:
            return await self._copies(connection)

    async def copies(self, root: str) -> list[Item]:
        """Every copy of one dataset."""
        async with self._store.read() as connection:
            return await self._copies(connection, root)

    async def readable(self) -> list[Item]:
        """Only what is readable, and in which no mount has found a fault, is offered: of each dataset the best copy."""
        return [item for item in best(await self.all()) if not item.trouble]

    async def find(self, cid: str) -> Item:
        """The readable dataset with this root or piece CID. Raises InputRefused when it isn't here."""
        named = [item for item in await self.all() if not item.trouble and item.listing.is_named(cid)]
        for item in sorted(named, key=lambda item: (item.listing.root != cid, item.rank)):
            if await _is_there(item):
                return item
        raise InputRefused(f"the dataset {cid} isn't here", "see the provider's datasets with shale ls")

    async def report_fault(
        self,
        root: Cid,
        reason: str,
        at: int,
        *,
        sources: Sequence[str] = (),
        precise: bool = False,
        replace: bool = False,
    ) -> None:
        """This was found wrong in the copy at `sources` (none: in all): it isn't offered until a check finds it sound.

        The first fault stays, unless `replace`, or if a `precise` one comes after one that isn't; each is counted.
        """
        line = "".join(char if char.isprintable() else "?" for char in reason)[:MAX_REASON]
        line = line or "a block can't be read"
        table = books.copies
        async with self._store.begin() as connection:
            for item in await self._copies(connection, root):
                if sources and item.sources != tuple(sources):
                    continue
                place = (str(root), item.copy)
                told = {"fault": line, "fault_at": at}
                takes = replace or not item.fault or (precise and self._precise.get(place) != item.fault)
                if takes and precise:
                    self._precise[place] = line
                await connection.execute(
                    update(table)
                    .where(table.c.root == root, table.c.copy == item.copy)
                    .values({"faults": table.c.faults + 1} | (told if takes else {}))
                )

    async def set_unreadable(self, item: Item, reasons: Mapping[int, tuple[str, str]]) -> None:
        """Note for a copy's pieces, by number, why they can't be read now (empty: they can) and their stamps.

        What was checked anew meanwhile stays as it is.
        """
        async with self._store.begin() as connection:
            for number, (reason, stamp) in reasons.items():
                await connection.execute(
                    update(books.pieces)
                    .where(_piece_of(item, number), books.pieces.c.stamp == item.places[number].stamp)
                    .values(unreadable=reason[:MAX_REASON], stamp=stamp)
                )

    async def set_claims(self, item: Item, claims: Sequence[Claim | None]) -> None:
        """Note each piece's claim, in the order of the copy's pieces."""
        async with self._store.begin() as connection:
            for number, claim in enumerate(claims):
                await connection.execute(
                    update(books.pieces).where(_piece_of(item, number)).values(_claim_columns(claim))
                )

    async def _copies(self, connection: AsyncConnection, root: str | None = None) -> list[Item]:
        listed = select(books.copies).order_by(books.copies.c.name, books.copies.c.root, books.copies.c.copy)
        rows = select(books.pieces).order_by(books.pieces.c.number)
        if root is not None:
            listed, rows = listed.where(books.copies.c.root == root), rows.where(books.pieces.c.root == root)
        pieces: dict[tuple[str, int], list[Row[Any]]] = {}
        for row in await connection.execute(rows):
            pieces.setdefault((row.root, row.copy), []).append(row)
        return [self._item(row, pieces.get((row.root, row.copy), [])) for row in await connection.execute(listed)]

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
        doubt = self._doubts.get((row.root, row.copy), "")
        index = None if self._indexes is None else self._indexes / index_name(row.root, row.copy)
        return Item(listing, places, index, row.fault, row.fault_at, row.copy, row.blocks_at, row.faults, doubt)


def full() -> Refused:
    """No further dataset can be taken; a copy more of one that is here can."""
    return Refused(
        f"there are {MAX_DATASETS} datasets here already, as many as an offer may list",
        "remove one with shale provider datasets remove CID",
    )


async def _is_there(item: Item) -> bool:
    """Whether its files are there at this moment; servers are asked on a schedule only."""
    try:
        for place in item.places:
            if local_file(place.source) is not None:
                await stamp(place.source)
    except ShaleError:
        return False
    return True


async def _drop(connection: AsyncConnection, root: str, copy: int | None) -> bool:
    """Drop one copy, or all."""
    gone = 0
    for table in (books.pieces, books.copies):
        which = table.c.root == root
        which = which if copy is None else which & (table.c.copy == copy)
        gone = (await connection.execute(delete(table).where(which))).rowcount
    return gone > 0


def _cids(item: Item) -> list[Cid]:
    return [piece.cid for piece in item.listing.pieces]


def _piece_of(item: Item, number: int) -> ColumnElement[bool]:
    """The row of a copy's piece, if its source is still the one."""
    table = books.pieces.c
    which = (table.root == item.listing.root) & (table.copy == item.copy) & (table.number == number)
    return which & (table.source == item.places[number].source)


def _copy_row(item: Item, copy: int, at: int) -> dict[str, Any]:
    listing = item.listing
    return {
        "root": listing.root,
        "copy": copy,
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
        "blocks_at": item.blocks_at,
        "fault": item.fault,
        "fault_at": item.fault_at,
        "faults": item.faults,
    }


def _piece_rows(item: Item, copy: int) -> list[dict[str, Any]]:
    return [
        {
            "root": item.listing.root,
            "copy": copy,
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
