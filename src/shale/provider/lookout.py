"""Lookout: sees on a schedule whether what is offered can still be read, and what is claimed of it on chain."""

from __future__ import annotations

import asyncio
import logging

from shale.clock import Clock
from shale.datasets import sources
from shale.datasets.scan import sector_of
from shale.datasets.stamp import local_file, stamp
from shale.errors import ShaleError
from shale.provider.claims import Claims, Register
from shale.provider.shelf import Item, Place, Shelf
from shale.units import Cid

log = logging.getLogger("shale.provider")

FILES_SECONDS = 10.0
"""How often files are looked at."""
SERVERS_ROUNDS = 30
"""Every how many of those looks the servers of pieces are asked too."""
CLAIMS_ROUNDS = 180
"""Every how many of those looks the Lotus node is asked."""
_INSPECT_SECONDS = 60.0
_AT_ONCE = 8


class Lookout:
    """Notes on the shelf what it sees, where that has changed."""

    def __init__(self, shelf: Shelf, claims: Claims, clock: Clock) -> None:
        self._shelf = shelf
        self._claims = claims
        self._clock = clock
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def watch(self) -> None:
        """Look now and then, until cancelled. What fails is tried again at the next look."""
        rounds = 0
        while True:
            try:
                await self.look(servers=rounds % SERVERS_ROUNDS == 0)
                if rounds % CLAIMS_ROUNDS == 0 and self._claims.is_set_up:
                    await self.join_claims()
            except ShaleError as error:
                log.warning("datasets: %s", error)
            rounds += 1
            await self._clock.sleep_until(self._clock.steady() + FILES_SECONDS)

    async def look(self, *, servers: bool = True) -> None:
        """Look at each source: is it there, and as it was when it was checked."""
        await asyncio.gather(*(self._look_at(item, servers) for item in await self._shelf.all()))

    async def join_claims(self) -> None:
        """Ask the node for claims; what was known before stays when it doesn't answer."""
        async with self._claims.register() as register:
            if register is None:
                log.warning("claims: %s", self._claims.trouble)
                return
            for item in await self._shelf.all():
                await self._join(item, register)

    async def _join(self, item: Item, register: Register) -> None:
        pieces = item.listing.pieces
        found = [
            await register.claim_of(piece, sector_of(place.source))
            for piece, place in zip(pieces, item.places, strict=True)
        ]
        if found != [piece.claim for piece in pieces]:
            await self._shelf.set_claims(item, found)

    async def _look_at(self, item: Item, servers: bool) -> None:
        changed = {}
        for number, place in enumerate(item.places):
            if not servers and local_file(place.source) is None:
                continue
            async with self._gate:
                seen = await _state(place, item.listing.root)
            if seen != (place.unreadable, place.stamp):
                changed[number] = seen
                if seen[0] != place.unreadable:
                    log.warning("dataset %s: %s", item.listing.name, seen[0] or "it can be read again")
        if changed:
            await self._shelf.set_unreadable(item, changed)


async def _state(place: Place, root: Cid) -> tuple[str, str]:
    """Why a source can't be read (empty: it can), and its stamp."""
    try:
        mark = await stamp(place.source)
        if place.stamp in ("", mark):  # books of the first form have no stamps
            return "", mark
        if sector_of(place.source) is None:
            return f"it changed since it was checked: run shale provider datasets check {root}", place.stamp
        # A sector's file changes with every piece that comes or goes: what counts is that ours is still unsealed.
        async with asyncio.timeout(_INSPECT_SECONDS):
            seen = await sources.inspect(place.source)
    except TimeoutError:
        return f"looking at it took over {_INSPECT_SECONDS:g} s", place.stamp
    except ShaleError as error:
        return error.message, place.stamp
    if seen.problems:
        return f"offset {seen.problems[0].offset}: {seen.problems[0].reason}", place.stamp
    return "", mark
