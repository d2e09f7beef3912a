"""Bars: work that is long shows how far it is, with rate and remaining time, where a person looks on."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from shale.client.cli.context import run_async
from shale.client.cli.output import console

if TYPE_CHECKING:
    from shale.datasets.run import Progress

T = TypeVar("T")


def shown(title: str, work: Callable[[Progress | None], Awaitable[T]]) -> T:
    """Do the work; where a person looks on, show how far it is in bytes, with rate and remaining time."""
    return _shown(title, "", work)


def counted(title: str, what: str, work: Callable[[Progress | None], Awaitable[T]]) -> T:
    """The same for work whose progress is so many of `what`."""
    return _shown(title, what, work)


def _shown(title: str, what: str, work: Callable[[Progress | None], Awaitable[T]]) -> T:
    async def plain() -> T:
        return await work(None)

    if not sys.stderr.isatty():
        return run_async(plain)

    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar

    amount = (
        (MofNCompleteColumn(), TextColumn(what)) if what else (DownloadColumn(binary_units=True), TransferSpeedColumn())
    )
    columns = (TextColumn(title), BarColumn(), *amount, TimeRemainingColumn())

    async def with_bar() -> T:
        with Bar(*columns, console=console(stderr=True), transient=True) as bar:
            task = bar.add_task(title, total=None)
            return await work(lambda done, total: bar.update(task, completed=done, total=total))

    return run_async(with_bar)
