"""Bars: work that is long shows how far it is and what it waits for, where a person looks on, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from shale.client.cli.context import run_async
from shale.client.cli.output import console, plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from shale.datasets.run import Progress

T = TypeVar("T")

_NARROW = 60
"""Columns below which there is no bar, and the rest has room."""
_AGAIN = 10
"""After how many seconds a line that stays is written once more."""


def shown(title: str, work: Callable[[Progress | None], Awaitable[T]]) -> T:
    """Do the work; where a person looks on, show how far it is in bytes, with rate and remaining time."""
    return _shown(title, "", work)


def counted(title: str, what: str, work: Callable[[Progress | None], Awaitable[T]]) -> T:
    """The same for work whose progress is so many of `what`."""
    return _shown(title, what, work)


def _shown(title: str, what: str, work: Callable[[Progress | None], Awaitable[T]]) -> T:
    async def silent() -> T:
        return await work(None)

    if not sys.stderr.isatty():
        return run_async(silent)

    from shale.datasets.run import telling_of_waits

    async def with_bar() -> T:
        with made(what, console(stderr=True)) as bar:
            task = bar.add_task(title, total=None)
            before = -1

            def progress(done: int, total: int) -> None:
                nonlocal before
                if done != before:
                    bar.update(task, description=title)
                before = done
                bar.update(task, completed=done, total=total)

            with telling_of_waits(lambda host, seconds: bar.update(task, description=waits(host, seconds))):
                return await work(progress)

    return run_async(with_bar)


def made(what: str, screen: Console) -> Bar:
    """The bar of work that counts so many of `what`, or bytes; a narrow screen gets what tells most."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar
    from rich.table import Column

    narrow = screen.width < _NARROW
    name = Column(no_wrap=True, overflow="ellipsis", ratio=1) if narrow else None
    done = (MofNCompleteColumn(), TextColumn(what)) if what else (DownloadColumn(binary_units=True),)
    # A terminal that has no room for all keeps what tells most: what it is, how far, and until when.
    speed = () if narrow or what else (TransferSpeedColumn(),)
    columns = (
        TextColumn("{task.description}", markup=False, table_column=name),
        *(() if narrow else (BarColumn(),)),
        *done,
        *speed,
        TimeRemainingColumn(compact=narrow),
    )
    return Bar(*columns, console=screen, transient=True, expand=narrow)


def watched(work: Callable[[], Coroutine[Any, Any, T]], *, writing: bool = False) -> T:
    """Do work that has no bar; where a person looks on, a line says which server is waited for, as long as it is.

    With `writing` the work writes to the standard output by itself.
    """
    if not sys.stderr.isatty():
        return run_async(work)

    from shale.datasets.run import telling_of_waits

    line = WaitLine(stays=writing and sys.stdout.isatty())

    async def telling() -> T:
        with telling_of_waits(line.tell):
            return await work()

    try:
        return run_async(telling)
    finally:
        line.clear()


class WaitLine:
    """The line on a terminal's stderr that says what is waited for; one that `stays` is written anew now and then."""

    def __init__(self, *, stays: bool = False) -> None:
        self._stays = stays
        self._shown = False
        self._last = ("", 0)

    def tell(self, host: str, seconds: int) -> None:
        if (host, seconds) == self._last:
            return  # told by another of the requests to that server
        self._last = (host, seconds)
        if not self._stays:
            sys.stderr.write(f"\r\x1b[K{waits(host, seconds)}")
        elif not self._shown or seconds % _AGAIN == 0:
            sys.stderr.write(f"{waits(host, seconds)}\n")
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        """Take it away, before something else is written."""
        if self._shown and not self._stays:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        self._shown = False


def waits(host: str, seconds: int) -> str:
    """What is waited for, in words."""
    return f"waiting for {plain(host)}, {seconds} s"
