"""Search: which of the offered datasets fit some words, by name, description, CID and file."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy import func, select

from shale.clock import Clock, SystemClock
from shale.errors import Unavailable
from shale.market.offer import Dataset, Entry
from shale.market.words import missing, split
from shale.provider import books
from shale.provider.shelf import Shelf
from shale.provider.store import Store
from shale.provider.turns import Turns, name_of
from shale.units import Cid

SHOWN_FILES = 8
MOST_COUNTED = 1000
SECONDS = 5.0
_AT_ONCE = 2
_MOST = 128
_MOST_OF_ONE = 8


@dataclass(frozen=True, slots=True)
class Match:
    """A dataset that fits: how many of its files do (at most `MOST_COUNTED` are counted), and the first of them."""

    dataset: Dataset
    matched: int
    files: tuple[Entry, ...]


class Search:
    """Looks through the shelf: anyone may ask, so few at once, each for some seconds only, and in turn."""

    def __init__(self, store: Store, shelf: Shelf, clock: Clock | None = None) -> None:
        self._store = store
        self._shelf = shelf
        self._turns = Turns(clock or SystemClock(), _AT_ONCE, _MOST, _MOST_OF_ONE)

    async def find(self, text: str, address: str = "") -> list[Match]:
        """The datasets that fit every word: in their own texts, or all the rest of the words in one file's path.

        Without words: every dataset. Raises InputRefused for too much of a text, Unavailable when too many ask, all
        together or from this address.
        """
        words = split(text)
        matches = []
        try:
            async with asyncio.timeout(SECONDS), self._turns.visit(name_of(address)) as visit:
                for item in await self._shelf.readable():
                    # A turn for each dataset: who asks for little is soon done, however much others ask for.
                    async with visit.turn():
                        matches.append(await self._match(item.listing, words))
        except TimeoutError:
            raise Unavailable("the search took too long", "give other words, or try again later") from None
        return [match for match in matches if match is not None]

    async def _match(self, dataset: Dataset, words: tuple[str, ...]) -> Match | None:
        rest = missing(dataset, words)
        matched, files = await self._files(dataset.root, rest or words)
        return Match(dataset, matched, files) if matched or not rest else None

    async def _files(self, root: Cid, words: tuple[str, ...]) -> tuple[int, tuple[Entry, ...]]:
        if not words:
            return 0, ()
        table = books.dataset_files
        fitting = select(table.c.number, table.c.path, table.c.size).where(table.c.root == root)
        for word in words:
            fitting = fitting.where(table.c.folded.contains(word, autoescape=True))
        few = fitting.limit(MOST_COUNTED).subquery()
        async with self._store.read() as connection:
            count = (await connection.execute(select(func.count()).select_from(few))).scalar_one()
            shown = await connection.execute(fitting.order_by(table.c.number).limit(SHOWN_FILES)) if count else ()
            return count, tuple(Entry(row.path, 1, row.size) for row in shown)
