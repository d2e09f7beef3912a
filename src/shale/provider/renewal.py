"""Renewal: has a dataset read again before it is offered again, whose index is gone, spoilt, or of what was before.

What a mount shows its clients as proof lies in the index; without a fitting one they would be shown none, or that of
a piece which may be another by now.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from shale.clock import Clock
from shale.datasets.index import mark_of, misfit
from shale.datasets.volumes import CHANGED
from shale.errors import ShaleError
from shale.keeping import Trouble
from shale.provider.shelf import Item, Shelf
from shale.units import Cid

log = logging.getLogger("shale.provider")

RETRY_SECONDS = 300.0
"""How soon what was read again is once more: because that failed, or its index is still of no use to a mount."""
_AT_ONCE = 2

Key = tuple[Cid, int]
Mark = tuple[int, int, int] | None


class Renewal:
    """Told of each look at a copy (`consider`) and of each mount that couldn't use its index (`doubt`).

    Which index fits is known by looking, never by what was meant to be written: so a crash at any step is healed.
    """

    def __init__(self, shelf: Shelf, clock: Clock, again: Callable[[Item], Awaitable[None]]) -> None:
        """`again` reads a copy and puts it on the shelf anew, or notes its fault; what it raises is tried later."""
        self._shelf = shelf
        self._clock = clock
        self._again = again
        self._fitting: dict[Key, object] = {}
        self._checks = asyncio.Semaphore(_AT_ONCE)
        self._waiting: asyncio.Queue[Item] = asyncio.Queue()
        self._under_way: set[Key] = set()
        self._failed_until: dict[Key, float] = {}
        self._made: dict[Key, tuple[float, Mark]] = {}

    async def consider(self, item: Item, stamps: Mapping[str, str], *, hindered: bool, moved: bool) -> None:
        """A copy was looked at. `stamps` are those of its files now.

        `hindered`: a piece can't be read now. `moved`: its files have changed, but may hold the same pieces.
        """
        key = _key(item)
        if hindered or key in self._under_way:
            return
        doubt = item.doubt
        if not doubt and not moved and not item.fault:
            doubt = await self._misfit(item, stamps)
            if doubt:
                await self.doubt(item.listing.root, item.sources, doubt)
        # Another fault than that of having changed is of the bytes: it goes by a check that a person asks for.
        if (not doubt and not moved) or (item.fault and not (moved and item.fault == CHANGED)):
            return
        wait = self._failed_until.get(key, 0.0)
        made_until, made = self._made.get(key, (0.0, None))
        if not moved and made is not None and made == await _mark(item):
            wait = max(wait, made_until)  # the index that was made is itself of no use: not again and again
        if self._clock.steady() >= wait:
            self._under_way.add(key)
            self._waiting.put_nowait(item)

    async def doubt(self, root: Cid, sources: Sequence[str], why: str) -> None:
        """The index of the copy at these sources can't be used: it isn't offered until it was read again."""
        for item in await self._shelf.copies(root):
            if item.sources == tuple(sources) and not item.doubt:
                log.warning("dataset %s: its index can't be used (%s)", root, why)
                self._shelf.set_doubt(item, f"its index can't be used: it is read again ({why})")

    async def run(self) -> None:
        """Read again what must be, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._renew(await self._waiting.get()))

    async def settled(self) -> None:
        """Return when nothing is read again."""
        await self._waiting.join()

    async def _renew(self, item: Item) -> None:
        key = _key(item)
        try:
            log.info("dataset %s: read again", item.listing.root)
            await self._again(item)
        except Exception as error:  # noqa: BLE001 - it stays unoffered, and the next look has it tried again
            Trouble(f"reading dataset {item.listing.root} again", self._clock, log).note(error)
            self._failed_until[key] = self._clock.steady() + RETRY_SECONDS
        else:
            self._made[key] = self._clock.steady() + RETRY_SECONDS, await _mark(item)
        finally:
            self._under_way.discard(key)
            self._waiting.task_done()

    async def _misfit(self, item: Item, stamps: Mapping[str, str]) -> str:
        """Why the copy's index can't be used; one that fits is read again only when something changed."""
        if item.index is None:
            return ""
        key = _key(item)
        async with self._checks:
            try:
                seen = (await asyncio.to_thread(mark_of, item.index), item.sources, dict(stamps))
                if self._fitting.get(key) == seen:
                    return ""
                why = await misfit(item.index, item.listing.root, item.sources, stamps)
            except FileNotFoundError:
                return "it is gone"
            except OSError as error:
                return f"it can't be read: {error.strerror}"
            except ShaleError as error:  # nothing is known of it
                log.warning("dataset %s: its index can't be looked at (%s)", item.listing.root, error.message)
                return ""
        if not why:
            self._fitting[key] = seen
        return why


async def _mark(item: Item) -> Mark:
    """What tells the copy's index from another; None if it has none."""
    try:
        return None if item.index is None else await asyncio.to_thread(mark_of, item.index)
    except OSError:
        return None


def _key(item: Item) -> Key:
    return item.listing.root, item.copy
