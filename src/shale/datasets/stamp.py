"""Stamp: what a source is like at the moment, without reading it: a file's size and time, a server's size and tag."""

from __future__ import annotations

import asyncio
import re
import stat
import threading
from concurrent.futures import Future
from pathlib import Path

from shale.datasets.served import look, shown
from shale.errors import Refused, Unavailable

LOOK_SECONDS = 10.0
_FORM = re.compile(r"(sector|park|aggregate):(.*)", re.DOTALL)
MOST_LATE = 4
"""Files of one folder that may keep us waiting; no further one of it is looked at until some of them answer."""
_late: dict[Path, dict[Path, Future[str]]] = {}
"""The looks that have taken too long and still do, by folder and file."""


async def stamp(source: str) -> str:
    """The source's stamp. Raises Refused or Unavailable with why it can't be read, within some seconds."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            path = local_file(source)
            if path is None:
                size, tag = await look(innermost(source), LOOK_SECONDS)
                return f"{size} {tag}"
            return await _file_stamp(path)
    except TimeoutError:
        raise Unavailable(f"{shown(source)} does not answer within {LOOK_SECONDS:g} s", "check where it lies") from None


def is_same(known: str, seen: str) -> bool:
    """Whether a stamp that was noted is of what is seen now.

    Older books know no inode, and no mark of a server but its ETag; the oldest know no stamp.
    """
    if known in ("", seen):
        return True
    older = known if known.endswith(" ") else f"{known} "
    return known.count(" ") == 1 and seen.startswith(older)


def innermost(source: str) -> str:
    """The path or URL that a source's text reads from in the end."""
    while found := _FORM.match(source):
        scheme, rest = found.groups()
        if scheme == "aggregate":  # aggregate:SOURCE#N wraps any source
            source = rest.rpartition("#")[0]
        else:  # what stands behind the last question mark is a place in the file, if it has that form
            path, _, options = rest.rpartition("?")
            return path if path and "=" in options else rest
    return source


def local_file(source: str) -> Path | None:
    """The file on this machine that a source reads; None for a URL."""
    inner = innermost(source)
    return None if inner.startswith(("http://", "https://")) else Path(inner)


async def _file_stamp(path: Path) -> str:
    """The file's stamp. Raises TimeoutError at once where an earlier look at it, or at its neighbours, still hangs.

    A file system on a network may hang, a file of it for good: that costs a thread of its own, and holds up no other.
    """
    late = {file: look for file, look in _late.pop(path.parent, {}).items() if not look.done()}
    if late:
        _late[path.parent] = late
    if path in late or len(late) >= MOST_LATE:
        raise TimeoutError
    look: Future[str] = Future()
    look.set_running_or_notify_cancel()  # whoever waits no longer doesn't end it

    def ask() -> None:
        try:
            look.set_result(_file(path))
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            look.set_exception(error)

    # Such threads are not waited for when the daemon ends.
    threading.Thread(target=ask, name="stamp", daemon=True).start()
    try:
        return await asyncio.wrap_future(look)
    finally:
        if not look.done():
            _late.setdefault(path.parent, {})[path] = look


def _file(path: Path) -> str:
    try:
        found = path.stat()
    except OSError as error:
        raise Refused(f"{path} can't be read ({error.strerror})", "bring it back, or remove the dataset") from None
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{path} is not a file", "bring it back, or remove the dataset")
    # No number of the device: a reboot may change it, and every dataset would have to be read again.
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"
