"""Processes that outlive us: started in a session of their own, known again, awaited and ended without any race."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A process by its pid and its birth, so that a later one with the same pid isn't taken for it."""

    pid: int
    birth: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The living process with this pid; None if there is none. A zombie doesn't live."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except (OSError, ValueError):
            return None
        # proc_pid_stat(5): the state is field 3, the start time in ticks since the boot field 22.
        return None if fields[0] in ("Z", "X") else cls(pid, f"{boot}:{fields[19]}")

    @property
    def lives(self) -> bool:
        return Process.of(self.pid) == self

    async def end(self, grace: float) -> None:
        """SIGTERM, and SIGKILL if it is still there after `grace` seconds; return when it is gone."""
        with self._descriptor() as descriptor:
            if descriptor is not None:
                await _end(descriptor, grace)
        reap(self.pid)

    def hang_up(self) -> None:
        """SIGHUP; nothing if it has ended."""
        with self._descriptor() as descriptor, suppress(ProcessLookupError):
            if descriptor is not None:
                signal.pidfd_send_signal(descriptor, signal.SIGHUP)

    @contextmanager
    def _descriptor(self) -> Iterator[int | None]:
        """A pidfd of this very process: opened first, then checked, so that the pid can't change hands between."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            yield descriptor if self.lives else None
        finally:
            os.close(descriptor)


def spawn(program: Path, arguments: Sequence[str], *, output: int, errors: int) -> int:
    """Start a program in its own session, its standard output and error on two descriptors of ours; its pid.

    Not asyncio's subprocess: that one kills its child when the loop goes.
    """
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, errors, 2),
    ]
    return os.posix_spawn(program, [str(program), *arguments], os.environ, file_actions=actions, setsid=True)


def named(program: str, argument: str) -> list[Process]:
    """The living processes of a program that were given this argument."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                first, *rest = (entry / "cmdline").read_bytes().split(b"\0")
                if os.path.basename(first) == os.fsencode(program) and os.fsencode(argument) in rest:
                    process = Process.of(int(entry.name))
                    found += [process] if process is not None else []
    return found


def reap(pid: int) -> None:
    """Let go of an ended child; nothing if it lives, or was the child of a daemon before us."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


async def _end(descriptor: int, grace: float) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await _readable(descriptor)
            return


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
