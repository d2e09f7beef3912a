"""Shelf: the datasets that this provider holds, in its books."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, insert, select

from shale.datasets.holding import Holding
from shale.errors import Closed, InputRefused, Refused
from shale.market.offer import MAX_DATASETS, Dataset, Entry
from shale.provider import books
from shale.provider.store import Store
from shale.units import Cid


@dataclass(frozen=True, slots=True)
class Item:
    """A dataset and the piece file that holds it."""

    listing: Dataset
    path: Path

    @property
    def holding(self) -> Holding:
        """The dataset as it is mounted."""
        return Holding(self.listing.root, (str(self.path),))


class Shelf:
    """Datasets by root CID."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, item: Item, at: int) -> None:
        """Put a dataset on the shelf; the same root again replaces its record."""
        known = await self.all()
        if len(known) >= MAX_DATASETS and all(other.listing.root != item.listing.root for other in known):
            raise Refused(f"the shelf holds {MAX_DATASETS} datasets", "remove one with shale provider datasets remove")
        listing = item.listing
        entries = [{"path": e.path, "files": e.files, "size": e.size} for e in listing.entries]
        async with self._store.begin() as connection:
            await connection.execute(delete(books.datasets).where(books.datasets.c.root == listing.root))
            await connection.execute(
                insert(books.datasets).values(
                    root=listing.root,
                    piece=listing.piece,
                    name=listing.name,
                    path=str(item.path),
                    size=listing.size,
                    files=listing.files,
                    entries=json.dumps(entries),
                    added_at=at,
                )
            )

    async def remove(self, root: str) -> None:
        """Take a dataset off the shelf; its file stays. Raises Closed if it isn't there."""
        async with self._store.begin() as connection:
            gone = await connection.execute(delete(books.datasets).where(books.datasets.c.root == root))
            if gone.rowcount == 0:
                raise Closed(f"there is no dataset {root}", "see shale provider datasets list")

    async def all(self) -> list[Item]:
        async with self._store.begin() as connection:
            rows = await connection.execute(select(books.datasets).order_by(books.datasets.c.name))
            return [
                Item(
                    Dataset(
                        row.name,
                        Cid(row.root),
                        Cid(row.piece),
                        row.size,
                        row.files,
                        tuple(Entry(e["path"], e["files"], e["size"]) for e in json.loads(row.entries)),
                    ),
                    Path(row.path),
                )
                for row in rows
            ]

    async def readable(self) -> list[Item]:
        """Only what is readable is offered."""
        return [item for item in await self.all() if item.path.is_file()]

    async def find(self, cid: str) -> Item:
        """The dataset with this root or piece CID. Raises InputRefused when it isn't here."""
        for item in await self.readable():
            if cid in (item.listing.root, item.listing.piece):
                return item
        raise InputRefused(f"the dataset {cid} isn't here", "see the provider's datasets with shale ls")
