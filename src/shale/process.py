"""Other programs: run one to its end, with a time limit, its failure an error of ours; and whether one still lives."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from shale.errors import ConfigError, Refused, Unavailable


async def run(arguments: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> bytes:
    """The program's standard output.

    Raises ConfigError when there is no such program, Unavailable when it outlasts `timeout` (it is killed then), and
    Refused with the last line of its standard error when it fails.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        raise ConfigError(f"{arguments[0]} is not installed", "install it (make install does)") from None
    try:
        output, errors = await asyncio.wait_for(process.communicate(stdin), timeout)
    except TimeoutError:
        raise Unavailable(
            f"{arguments[0]} took over {timeout:g} s", "try again, or look at the machine's load"
        ) from None
    finally:
        if process.returncode is None:
            send(process, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise Refused(lines[-1][:500] if lines else f"{arguments[0]} failed with status {process.returncode}")
    return output


def send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended. Not by its own method: that reaps it behind asyncio's back."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def put_down(process: asyncio.subprocess.Process, patience: float = 0.0) -> None:
    """End a program that talks through pipes, by force after `patience` seconds; nothing of it is left.

    What it still says is read and thrown away: a pipe that nobody reads would stay open, and waiting with it.
    """
    ending = asyncio.ensure_future(process.communicate())
    try:
        if patience:
            send(process, signal.SIGTERM)
            await asyncio.wait({ending}, timeout=patience)
    finally:
        send(process, signal.SIGKILL)
        await asyncio.wait({ending})
        # Its pipe may have been broken already; that it has ended is all we want.
        ending.exception()


def started(pid: int) -> int:
    """When the process began, in clock ticks since boot: with its pid a name for good. 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def own_name() -> str:
    """A name of this process that no other one has, before the machine starts anew."""
    return f"{os.getpid()}:{started(os.getpid())}"


def is_living(name: str) -> bool:
    """Whether the process of an `own_name` still runs."""
    pid, _, began = name.partition(":")
    return pid.isdecimal() and started(int(pid)) > 0 and str(started(int(pid))) == began
