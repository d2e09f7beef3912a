"""Stamp: what a source is like at the moment, without reading it: a file's size and time, a server's size and ETag."""

from __future__ import annotations

import asyncio
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shale.datasets.served import look, shown
from shale.errors import Refused, Unavailable

LOOK_SECONDS = 10.0
_FORM = re.compile(r"(sector|park|aggregate):(.*)", re.DOTALL)
_threads = ThreadPoolExecutor(4, thread_name_prefix="stamp")


async def stamp(source: str) -> str:
    """The source's stamp. Raises Refused or Unavailable with why it can't be read, within some seconds."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            path = local_file(source)
            if path is None:
                size, tag = await look(innermost(source), LOOK_SECONDS)
                return f"{size} {tag}"
            # A file system on a network may hang: that costs a thread of these for a while, never the daemon.
            return await asyncio.get_running_loop().run_in_executor(_threads, _file, path)
    except TimeoutError:
        raise Unavailable(f"{shown(source)} does not answer within {LOOK_SECONDS:g} s", "check where it lies") from None


def is_same(known: str, seen: str) -> bool:
    """Whether a stamp that was noted is of what is seen now. Older books know no inode, the oldest no stamp."""
    return known in ("", seen) or (known.count(" ") == 1 and seen.startswith(f"{known} "))


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


def _file(path: Path) -> str:
    try:
        found = path.stat()
    except OSError as error:
        raise Refused(f"{path} can't be read ({error.strerror})", "bring it back, or remove the dataset") from None
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{path} is not a file", "bring it back, or remove the dataset")
    # No number of the device: a reboot may change it, and every dataset would have to be read again.
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"
