"""Search: which of the offered datasets fit some words, by name, description, CID and file."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from sqlalchemy import func, select

from shale.errors import InputRefused, Unavailable
from shale.market.offer import Dataset, Entry
from shale.provider import books
from shale.provider.shelf import Shelf
from shale.provider.store import Store
from shale.units import Cid

MAX_WORDS = 8
MAX_TEXT = 200
SHOWN_FILES = 8
MOST_COUNTED = 1000
SECONDS = 5.0
_AT_ONCE = 2
_MOST_WAITING = 32


@dataclass(frozen=True, slots=True)
class Match:
    """A dataset that fits: how many of its files do (at most `MOST_COUNTED` are counted), and the first of them."""

    dataset: Dataset
    matched: int
    files: tuple[Entry, ...]


class Search:
    """Looks through the shelf: anyone may ask, so few at once, and each for some seconds only."""

    def __init__(self, store: Store, shelf: Shelf) -> None:
        self._store = store
        self._shelf = shelf
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def find(self, text: str) -> list[Match]:
        """The datasets that fit every word: in their own texts, or all the rest of the words in one file's path.

        Without words: every dataset. Raises InputRefused for too much of a text, Unavailable when too many ask.
        """
        words = split(text)
        if self._waiting >= _MOST_WAITING:
            raise Unavailable("too many searches are under way", "try again in some seconds")
        self._waiting += 1
        try:
            async with asyncio.timeout(SECONDS), self._gate:
                matches = [await self._match(item.listing, words) for item in await self._shelf.readable()]
        except TimeoutError:
            raise Unavailable("the search took too long", "give other words") from None
        finally:
            self._waiting -= 1
        return [match for match in matches if match is not None]

    async def _match(self, dataset: Dataset, words: tuple[str, ...]) -> Match | None:
        own = " ".join(
            (dataset.name, dataset.description, dataset.root, dataset.piece, *(piece.cid for piece in dataset.pieces))
        ).casefold()
        rest = tuple(word for word in words if word not in own)
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


def split(text: str) -> tuple[str, ...]:
    """The words of a query, without their case. Raises InputRefused."""
    words = tuple(dict.fromkeys(text.casefold().split()))
    if len(text) > MAX_TEXT or len(words) > MAX_WORDS or not re.sub(r"\s", "", text).isprintable():
        raise InputRefused("that can't be searched for", f"give at most {MAX_WORDS} words of {MAX_TEXT} characters")
    return words
