"""The mounts that the kernel knows: /proc/self/mountinfo (proc_pid_mountinfo(5)); and how one is taken away."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from pathlib import Path

from shale.errors import Refused
from shale.process import run

FSTYPE = "fuse.shale"


def is_mounted(folder: Path) -> bool:
    """Whether a dataset is mounted there, alive or not."""
    return str(folder) in dataset_mounts(Path("/proc/self/mountinfo").read_bytes())


async def detach(folder: Path) -> None:
    """Take a mount whose process is gone out of the name space, even while something holds a file of it."""
    command = ["umount", "--lazy"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
    try:
        await run([*command, str(folder)], timeout=10.0)
    except Refused:
        if is_mounted(folder):
            raise


async def clear_dead(folder: Path) -> None:
    """Detach what is mounted there if nobody serves it any more; a mount that answers stays."""
    folder = folder.absolute()
    folder = Path(os.path.realpath(folder.parent)) / folder.name  # the mount point itself cannot be examined
    if is_mounted(folder) and await asyncio.to_thread(_is_dead, folder):
        await detach(folder)


def _is_dead(folder: Path) -> bool:
    """What a mount is asked for here its process answers, and nothing that is kept of earlier."""
    try:
        os.statvfs(folder)
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


def dataset_mounts(text: bytes) -> set[str]:
    """The mount points of datasets."""
    found = set()
    for line in text.splitlines():
        before, separator, after = line.partition(b" - ")
        fields = before.split(b" ")
        if separator and len(fields) >= 6 and after.split(b" ")[0] == FSTYPE.encode():
            found.add(_unescaped(fields[4]).decode(errors="surrogateescape"))
    return found


def _unescaped(field: bytes) -> bytes:
    r"""Space, tab, newline and backslash stand as \040, \011, \012, \134."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8) & 0xFF]), field)
