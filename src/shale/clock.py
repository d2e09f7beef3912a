"""Time as a part that can be replaced: a wall clock for dates, a steady one for durations."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the rest of Shale knows of time."""

    def now(self) -> int:
        """Unix seconds, for dates that others see."""
        ...

    def steady(self) -> float:
        """Seconds from an arbitrary start that never go back, for durations."""
        ...

    async def sleep_until(self, steady: float) -> None:
        """Return when `steady()` has reached the given value."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> int:
        return int(time.time())

    def steady(self) -> float:
        return time.monotonic()

    async def sleep_until(self, steady: float) -> None:
        await asyncio.sleep(max(0.0, steady - time.monotonic()))


_SHORTEST = 0.0005


async def wait_event(clock: Clock, event: asyncio.Event, seconds: float | None) -> None:
    """Return when the event is set, or `seconds` have passed; None waits for the event alone."""
    if seconds is None:
        await event.wait()
        return
    # Never for nothing: where a sum is rounded down, the caller would come back here at the same moment, forever.
    timer = asyncio.ensure_future(clock.sleep_until(clock.steady() + max(seconds, _SHORTEST)))
    woken = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({timer, woken}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (timer, woken):
            task.cancel()


class ManualClock:
    """A clock that a test moves by hand; sleepers wake in the order of their times."""

    def __init__(self, now: int = 1_700_000_000) -> None:
        self._start = now
        self._steady = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now(self) -> int:
        return self._start + int(self._steady)

    def steady(self) -> float:
        return self._steady

    async def sleep_until(self, steady: float) -> None:
        if steady <= self._steady:
            await asyncio.sleep(0)
            return
        entry = (steady, asyncio.Event())
        self._sleepers.append(entry)
        try:
            await entry[1].wait()
        finally:
            self._sleepers = [other for other in self._sleepers if other is not entry]

    async def advance(self, seconds: float) -> None:
        """Move time on, waking each sleeper at its own moment and letting it run."""
        await self.settle()
        target = self._steady + seconds
        while due := [entry for entry in self._sleepers if entry[0] <= target]:
            entry = min(due, key=lambda entry: entry[0])
            self._sleepers.remove(entry)
            self._steady = max(self._steady, entry[0])
            entry[1].set()
            await self.settle()
        self._steady = target
        await self.settle()

    async def settle(self) -> None:
        """Let what was woken run until it waits again; where threads take part, a subclass knows better."""
        for _ in range(20):
            await asyncio.sleep(0)
