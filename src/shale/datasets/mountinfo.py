"""The mounts that the kernel knows: /proc/self/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from pathlib import Path

FSTYPE = "fuse.shale"


def is_mounted(folder: Path) -> bool:
    """Whether a dataset is mounted there, alive or not."""
    return str(folder) in dataset_mounts(Path("/proc/self/mountinfo").read_bytes())


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
