"""Turns: something scarce that anybody may ask for, shared fairly: next is whoever has had least of it lately."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shale.clock import Clock
from shale.errors import Unavailable

HALF_LIFE_SECONDS = 60.0
"""After which what somebody has had counts half."""
_MOST_KNOWN = 4096


class Turns:
    """`places` turns run at a time; `most` visitors are let in, `most_of_one` of the same name.

    A visitor takes its turns one by one, so that a long visit holds nobody up. A full house lets a newcomer in for the
    last visitor of whoever has most there.
    """

    def __init__(self, clock: Clock, places: int, most: int, most_of_one: int) -> None:
        self._clock = clock
        self._free = places
        self._most = most
        self._most_of_one = most_of_one
        self._inside: Counter[str] = Counter()
        self._visits: list[_Visit] = []
        self._waiting: list[tuple[_Visit, asyncio.Future[None]]] = []
        self._had: dict[str, tuple[float, float]] = {}

    @asynccontextmanager
    async def visit(self, who: str) -> AsyncIterator[_Visit]:
        """Inside: turns may be taken. Raises Unavailable when there is no room, also later, to make room."""
        if self._inside[who] >= self._most_of_one:
            raise Unavailable("too many of your requests are under way", "wait for their answers")
        if len(self._visits) >= self._most:
            self._make_room(who)
        visit = _Visit(self, who)
        self._visits.append(visit)
        self._inside[who] += 1
        try:
            yield visit
        finally:
            self._visits.remove(visit)
            self._inside[who] -= 1
            if not self._inside[who]:
                del self._inside[who]

    def _make_room(self, who: str) -> None:
        busiest, count = max(self._inside.items(), key=lambda item: item[1])
        if self._inside[who] or count < 2:
            raise Unavailable("too many requests are under way", "try again in some seconds")
        last = next(visit for visit in reversed(self._visits) if visit.who == busiest and not visit.is_sent_away)
        last.is_sent_away = True
        for visit, turn in self._waiting:
            if visit is last and not turn.done():
                turn.set_exception(_sent_away())

    async def _take(self, visit: _Visit) -> None:
        if visit.is_sent_away:
            raise _sent_away()
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((visit, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give()  # it had just come
            raise
        finally:
            self._waiting = [entry for entry in self._waiting if entry[1] is not turn]

    def _give(self) -> None:
        """A turn has ended: the next is his who has had least; of several the first."""
        ready = [(visit, turn) for visit, turn in self._waiting if not turn.done()]
        if ready:
            _, turn = min(ready, key=lambda entry: self._has_had(entry[0].who))
            turn.set_result(None)
        else:
            self._free += 1

    def _has_had(self, who: str) -> float:
        seconds, at = self._had.get(who, (0.0, 0.0))
        return float(seconds * 0.5 ** ((self._clock.steady() - at) / HALF_LIFE_SECONDS))

    def _charge(self, who: str, seconds: float) -> None:
        if who not in self._had and len(self._had) >= _MOST_KNOWN:
            del self._had[min(self._had, key=self._has_had)]
        self._had[who] = (self._has_had(who) + seconds, self._clock.steady())


class _Visit:
    """One visitor's time inside."""

    def __init__(self, turns: Turns, who: str) -> None:
        self._turns = turns
        self.who = who
        self.is_sent_away = False

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One turn. Raises Unavailable when this visit is over, for another's sake."""
        turns = self._turns
        await turns._take(self)
        began = turns._clock.steady()
        try:
            yield
        finally:
            turns._charge(self.who, turns._clock.steady() - began)
            turns._give()


def name_of(address: str) -> str:
    """Whom an address stands for: of IPv6 the network of 64 bits, which is one customer's."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _sent_away() -> Unavailable:
    return Unavailable("too many requests are under way", "try again in some seconds")
