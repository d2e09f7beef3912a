"""How far a child process is: the bytes that it has read, as the kernel counts them in /proc."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

_PERIOD = 0.2


async def report_reads(pid: int, total: int, report: Callable[[int, int], None] | None) -> None:
    """Tell `report` (done, total) now and then until cancelled; never more done than the total (proc_pid_io(5))."""
    counter = Path(f"/proc/{pid}/io")
    while report is not None and total > 0:
        try:
            text = counter.read_text()
        except OSError:
            return
        report(min(bytes_read(text), total), total)
        await asyncio.sleep(_PERIOD)


def bytes_read(text: str) -> int:
    """The `rchar` line of /proc/PID/io; 0 without one."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "rchar" and value.strip().isdigit():
            return int(value)
    return 0
