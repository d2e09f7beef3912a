"""Keeping: work that must go on in the background, whatever fails in it: it says what failed, waits, and goes on.

An asyncio task that raises ends in silence. Whatever a daemon does by itself runs through `keep`, or notes what fails
in one round of its own loop as a `Trouble`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from shale.clock import Clock
from shale.errors import ShaleError

FIRST_SECONDS = 1.0
"""The pause after a first failure; it doubles with each further one."""
MOST_SECONDS = 60.0
_MOST_SAID = 16


class Trouble:
    """What fails again and again in one named piece of work. Only what is new of it is logged.

    An error of ours is one line; any other is a bug, and comes with its traceback.
    """

    def __init__(self, name: str, clock: Clock, log: logging.Logger) -> None:
        self._name = name
        self._clock = clock
        self._log = log
        self._said: set[str] = set()
        self._since: float | None = None
        self.count = 0
        """Failures without a success between them."""

    @property
    def seconds(self) -> float:
        """How long it has been failing; 0 when it doesn't."""
        return 0.0 if self._since is None else self._clock.steady() - self._since

    def note(self, error: Exception) -> None:
        """It failed."""
        if self._since is None:
            self._since = self._clock.steady()
        self.count += 1
        said = f"{type(error).__name__}: {error}"
        if said in self._said or len(self._said) >= _MOST_SAID:
            return
        self._said.add(said)
        if isinstance(error, ShaleError):
            self._log.error("%s: %s", self._name, error)
        else:
            self._log.error("%s: %s", self._name, said, exc_info=error)

    def over(self) -> None:
        """It worked."""
        if self.count:
            self._log.info("%s: it goes on, after %d failures in %.0f s", self._name, self.count, self.seconds)
        self._said.clear()
        self._since, self.count = None, 0


async def keep(
    name: str,
    work: Callable[[], Awaitable[object]],
    clock: Clock,
    log: logging.Logger,
    *,
    first: float = FIRST_SECONDS,
    most: float = MOST_SECONDS,
) -> None:
    """Do the work to its end, anew after each failure and a pause of `first` to `most` seconds, until cancelled."""
    trouble = Trouble(name, clock, log)
    while True:
        began = clock.steady()
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the work goes on
            if clock.steady() - began > most:
                trouble.over()  # it worked meanwhile
            trouble.note(error)
            pause = min(most, first * 2 ** min(trouble.count - 1, 16))
            await clock.sleep_until(clock.steady() + pause)
        else:
            trouble.over()
            return
