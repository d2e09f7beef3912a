"""Waiting: tells whoever looks on what a long work waits for, and for how long already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from shale.clock import Clock
from shale.datasets.reach import ATTEMPTS, reach
from shale.errors import ShaleError

Report = Callable[[dict[str, Any]], None]
"""Told, as JSON, of each step: what is read, what was added, what was left out and why."""

TELL_SECONDS = 5.0
"""How often it is told, while nothing moves."""


def reason(error: ShaleError) -> dict[str, str]:
    """Why something was left out, and what to do about it, as fields of a report."""
    return {"why": error.message} | ({"hint": error.hint} if error.hint else {})


@asynccontextmanager
async def waiting(what: str | Callable[[], str], report: Report, clock: Clock) -> AsyncIterator[Callable[[], None]]:
    """Tells every few seconds that `what` is waited for; what it gives is called when something moves.

    `what` may be asked anew each time: of work that waits for one thing after the other.
    """
    moved = clock.steady()

    def note() -> None:
        nonlocal moved
        moved = clock.steady()

    async def tell() -> None:
        while True:
            await clock.sleep_until(clock.steady() + TELL_SECONDS)
            seconds = clock.steady() - moved
            if seconds >= TELL_SECONDS:
                report({"waiting": what if isinstance(what, str) else what(), "seconds": round(seconds)})

    telling = asyncio.create_task(tell())
    try:
        yield note
    finally:
        telling.cancel()


async def reached(sources: Iterable[str], report: Report) -> None:
    """Return when the sources' servers answer, telling of each further attempt. Raises Unavailable."""

    def attempt(server: str, number: int) -> None:
        if number > 1:
            report({"waiting": server, "attempt": number, "attempts": ATTEMPTS})

    await reach(sources, attempt)
