"""Lookout: sees on a schedule whether what is offered can still be read, and what is claimed of it on chain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from shale.clock import Clock
from shale.datasets import sources
from shale.datasets.scan import sector_of
from shale.datasets.stamp import is_same, local_file, stamp
from shale.errors import ShaleError, Unavailable
from shale.keeping import Trouble
from shale.provider.claims import Claims, Register
from shale.provider.renewal import Renewal
from shale.provider.shelf import Item, Place, Shelf
from shale.units import Cid

log = logging.getLogger("shale.provider")

FILES_SECONDS = 10.0
"""How often files are looked at."""
SERVERS_SECONDS = 300.0
"""How often the servers of pieces are asked."""
CLAIMS_SECONDS = 1800.0
"""How often the Lotus node is asked."""
AGAIN = "its sector's file has changed: it is read again before it is offered"
"""Why a piece isn't offered that is still unsealed in a sector which has changed: another piece came or went."""
_INSPECT_SECONDS = 60.0
_AT_ONCE = 8


class Lookout:
    """Notes on the shelf what it sees, where that has changed, and has read again what may only have been moved."""

    def __init__(self, shelf: Shelf, claims: Claims, clock: Clock, renewal: Renewal | None = None) -> None:
        self._shelf = shelf
        self._claims = claims
        self._clock = clock
        self._renewal = renewal
        self._files = asyncio.Semaphore(_AT_ONCE)
        self._servers = asyncio.Semaphore(_AT_ONCE)
        self._seen: dict[str, str] = {}

    async def watch(self) -> None:
        """Look at the files now and then, until cancelled."""
        await self._repeat("looking at the datasets", lambda: self.look(servers=False), FILES_SECONDS)

    async def watch_servers(self) -> None:
        """The same of servers, which may take their time: nothing else waits for them."""
        await self._repeat("asking the servers of pieces", lambda: self.look(files=False), SERVERS_SECONDS)

    async def watch_claims(self) -> None:
        """The same of the Lotus node, if there is one."""
        if self._claims.is_set_up:
            await self._repeat("joining claims", self.join_claims, CLAIMS_SECONDS)

    async def _repeat(self, name: str, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """What fails is tried again at the next look."""
        trouble = Trouble(name, self._clock, log)
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - as said above
                trouble.note(error)
            else:
                trouble.over()
            await self._clock.sleep_until(self._clock.steady() + seconds)

    async def look(self, *, files: bool = True, servers: bool = True) -> None:
        """Look at each source: is it there, and as it was when it was checked."""
        items = await self._shelf.all()
        known = {source for item in items for source in item.sources}
        self._seen = {source: mark for source, mark in self._seen.items() if source in known}
        await asyncio.gather(*(self._look_at(item, files, servers) for item in items))

    async def join_claims(self) -> None:
        """Ask the node for claims; what was known before stays where it doesn't answer, or not in time.

        Raises Unavailable with what is wrong.
        """
        async with self._claims.register() as register:
            if register is None:
                raise Unavailable(f"the claims are as they were last known ({self._claims.trouble})")
            for item in await self._shelf.all():
                try:
                    await self._join(item, register)
                except Unavailable as error:
                    if register.failure is None:  # not the node
                        raise
                    self._claims.trouble = error.message
                    raise Unavailable(f"the claims are as they were last known ({error.message})") from None

    async def _join(self, item: Item, register: Register) -> None:
        pieces = item.listing.pieces
        found = [
            await register.claim_of(piece, sector_of(place.source))
            for piece, place in zip(pieces, item.places, strict=True)
        ]
        if found != [piece.claim for piece in pieces]:
            await self._shelf.set_claims(item, found)

    async def _look_at(self, item: Item, files: bool, servers: bool) -> None:
        changed: dict[int, tuple[str, str]] = {}
        stamps: dict[str, str] = {}
        reasons = [place.unreadable for place in item.places]
        rests = True
        for number, place in enumerate(item.places):
            is_file = local_file(place.source) is not None
            if not (files if is_file else servers):
                continue
            async with self._files if is_file else self._servers:
                reasons[number], seen = await self._state(place, item.listing.root)
            if is_file:
                stamps[place.source] = seen
                rests = rests and self._seen.get(place.source) == seen
                self._seen[place.source] = seen
            state = reasons[number], place.stamp if reasons[number] else seen
            if state != (place.unreadable, place.stamp):
                changed[number] = state
                if reasons[number] != place.unreadable:
                    log.warning("dataset %s: %s", item.listing.name, reasons[number] or "it can be read again")
        if changed:
            await self._shelf.set_unreadable(item, changed)
        if files and self._renewal is not None:
            moved = AGAIN in reasons
            hindered = not {"", AGAIN}.issuperset(reasons)
            # What goes on changing would be read for nothing: two looks must see the same.
            await self._renewal.consider(item, stamps, hindered=hindered or (moved and not rests), moved=moved)

    async def _state(self, place: Place, root: Cid) -> tuple[str, str]:
        """Why a source can't be offered (empty: it can), and its stamp, as far as that is known."""
        mark = ""
        try:
            mark = await stamp(place.source)
            if is_same(place.stamp, mark):
                return "", mark
            if sector_of(place.source) is None:
                return f"it changed since it was checked: run shale provider datasets check {root}", mark
            if place.unreadable == AGAIN and self._seen.get(place.source) == mark:
                return AGAIN, mark
            # A sector's file changes with every piece that comes or goes: ours may be what it was, if it is unsealed.
            async with asyncio.timeout(_INSPECT_SECONDS):
                seen = await sources.inspect(place.source)
        except TimeoutError:
            return f"looking at it took over {_INSPECT_SECONDS:g} s", mark
        except ShaleError as error:
            return error.message, mark
        if seen.problems:
            return f"offset {seen.problems[0].offset}: {seen.problems[0].reason}", mark
        return AGAIN, mark
