"""What a mount says on its pipe: lines of JSON as values, bounded whatever the dataset's author put into its names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shale.datasets.volumes import Fault
from shale.units import Cid
from shale.wire import read_json

_MAX_LINE = 1 << 16
_PER_SECOND = 100
"""Of events that are taken; the rest waits in the pipe, and when that is full the mount drops what it can't write."""


class Listener(asyncio.Protocol):
    """Reads the pipe of one mount: `told` is called for each event, `gone` once when nobody writes to it any more."""

    def __init__(self, told: Callable[[dict[str, Any]], None], gone: Callable[[], None]) -> None:
        self._told = told
        self._gone: Callable[[], None] | None = gone
        self._pending = b""
        self._skipping = False
        self._budget = _PER_SECOND
        self._transport: asyncio.ReadTransport | None = None
        self._refill: asyncio.TimerHandle | None = None

    @classmethod
    async def on(cls, pipe: Path, told: Callable[[dict[str, Any]], None], gone: Callable[[], None]) -> Listener:
        """Listen to a FIFO; whoever writes to it must have it open already, else it counts as gone."""
        handle = os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)
        try:
            _, listener = await asyncio.get_running_loop().connect_read_pipe(lambda: cls(told, gone), handle)
        except BaseException:
            handle.close()
            raise
        return listener

    def close(self) -> None:
        """Listen no more; `gone` isn't called."""
        self._gone = None
        if self._refill is not None:
            self._refill.cancel()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.ReadTransport), "a pipe is read"
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            if not self._skipping and len(line) <= _MAX_LINE:
                self._take(line)
            self._skipping = False
        if len(self._pending) > _MAX_LINE:
            self._pending, self._skipping = b"", True

    def eof_received(self) -> None:
        return

    def connection_lost(self, exc: Exception | None) -> None:
        gone, self._gone = self._gone, None
        if self._refill is not None:
            self._refill.cancel()
        if gone is not None:
            gone()

    def _take(self, line: bytes) -> None:
        try:
            event = read_json(line)
        except ValueError:
            return
        if isinstance(event, dict):
            self._told(event)
            self._spend()

    def _spend(self) -> None:
        self._budget -= 1
        if self._budget <= 0 and self._refill is None and self._transport is not None:
            self._transport.pause_reading()
            self._refill = asyncio.get_running_loop().call_later(1.0, self._go_on)

    def _go_on(self) -> None:
        self._refill, self._budget = None, _PER_SECOND
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()


def fault_from(
    root: Cid, event: dict[str, Any], holders: frozenset[str] = frozenset(), sources: tuple[str, ...] = ()
) -> Fault | None:
    """The fault that an event of this mount tells of; None for any other event."""
    if event.get("event") == "rebuilt":
        return Fault(root, "index", printable(event.get("message"), 300), holders=holders, sources=sources)
    if event.get("event") != "fault":
        return None
    offset = event.get("offset")
    return Fault(
        root,
        printable(event.get("kind"), 32) or "unreadable",
        printable(event.get("message"), 300),
        printable(event.get("path"), 300),
        printable(event.get("cid"), 128),
        offset if type(offset) is int and 0 <= offset < 1 << 63 else None,
        holders,
        sources,
    )


def printable(value: object, limit: int) -> str:
    """A short line of it that is safe to log and to show: names in a dataset are its author's."""
    return "".join(char if char.isprintable() else "?" for char in str(value or "")[:limit])
