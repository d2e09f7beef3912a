"""FuseMounts: datasets mounted by the kernel's FUSE server, one process for each lease, which outlives the daemon."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from weakref import WeakValueDictionary

from shale.datasets.mountinfo import is_mounted
from shale.datasets.processes import Process, reap, spawn
from shale.errors import ConfigError, InputRefused, Refused, ShaleError, Unavailable
from shale.paths import binary, private_dir, write_private
from shale.process import run
from shale.units import Cid, LeaseId, checked_lease_id

_READY_LINE = 4096
_END_GRACE = 10.0


class FuseMounts:
    """The port of mount.py. `folder` keeps a folder for each lease: the mount point `data`, `process.json`, `log`.

    What is mounted is the machine's own knowledge (mountinfo, and whether the noted process lives), never ours.
    """

    def __init__(self, folder: Path, *, ready_seconds: float = 120.0) -> None:
        self._folder = Path(os.path.realpath(folder))  # as mountinfo names it
        self._ready_seconds = ready_seconds
        self._locks: WeakValueDictionary[LeaseId, asyncio.Lock] = WeakValueDictionary()

    def __repr__(self) -> str:
        return f"FuseMounts({str(self._folder)!r})"

    async def mount(self, lease: LeaseId, source: Path, root: Cid) -> Path:
        place = self._place(lease)
        async with self._lock(lease):
            if _lives(place):
                mounted = _noted(place)[1]
                if mounted != root:
                    raise Refused(f"the lease has {mounted} mounted", "unmount it first")
                return place / "data"
            await self._clear(place)
            try:
                await self._start(place, source, root)
            except BaseException:
                with suppress(ShaleError):
                    await asyncio.shield(self._clear(place))
                raise
        return place / "data"

    async def unmount(self, lease: LeaseId) -> None:
        async with self._lock(lease):
            await self._clear(self._place(lease))

    async def all(self) -> Sequence[LeaseId]:
        found = []
        for place in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            with suppress(InputRefused):
                lease = checked_lease_id(f"0x{place.name}")
                async with self._lock(lease):
                    if _lives(place):
                        found.append(lease)
                    else:
                        await self._clear(place)
        return found

    def _place(self, lease: LeaseId) -> Path:
        return self._folder / checked_lease_id(lease)[2:]

    def _lock(self, lease: LeaseId) -> asyncio.Lock:
        return self._locks.setdefault(lease, asyncio.Lock())

    async def _start(self, place: Path, source: Path, root: Cid) -> None:
        private_dir(self._folder)
        private_dir(place)
        (place / "data").mkdir(exist_ok=True)
        arguments = ["mount", "--source", str(source.absolute()), "--root", root, "--dir", str(place / "data")]
        reading, writing = os.pipe()
        try:
            log = os.open(place / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                pid = spawn(binary("shale-kernel"), [*arguments, "--verify", "first-touch"], output=writing, errors=log)
            finally:
                os.close(log)
                os.close(writing)
            process = Process.of(pid)
            if process is None:  # it has ended already, and left its reason in the log
                reap(pid)
                raise _failure(place, root)
            note = {"pid": pid, "birth": process.birth, "root": root}
            write_private(place / "process.json", json.dumps(note).encode())
            ready = await asyncio.wait_for(_says_ready(reading), self._ready_seconds)
        except TimeoutError:
            raise Unavailable(f"mounting {root} took over {self._ready_seconds:g} s", "try again") from None
        finally:
            os.close(reading)
        if not ready:
            raise _failure(place, root)

    async def _clear(self, place: Path) -> None:
        """End the process, detach what is mounted, remove the folder; each may be there or not."""
        process, _ = _noted(place)
        if process is not None:
            await process.end(_END_GRACE)
        if is_mounted(place / "data"):
            await _detach(place / "data")
        for name in ("process.json", "log"):
            (place / name).unlink(missing_ok=True)
        for folder in (place / "data", place):
            with suppress(FileNotFoundError):
                folder.rmdir()


def _lives(place: Path) -> bool:
    process, _ = _noted(place)
    return process is not None and process.lives and is_mounted(place / "data")


def _noted(place: Path) -> tuple[Process | None, str]:
    """The mount's process and root as they were noted; None if no readable note is there."""
    try:
        note = json.loads((place / "process.json").read_bytes())
        return Process(int(note["pid"]), str(note["birth"])), str(note["root"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, ""


async def _says_ready(descriptor: int) -> bool:
    """Whether the process says that it is ready before it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_READY_LINE)
    pipe = os.fdopen(os.dup(descriptor), "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        event = json.loads(await reader.readline() or b"{}")
    except (ValueError, RecursionError):
        return False
    finally:
        transport.close()
    return isinstance(event, dict) and event.get("event") == "ready"


async def _detach(folder: Path) -> None:
    """Take a mount whose process is gone out of the name space, even while something holds a file of it."""
    command = ["umount", "--lazy"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
    try:
        await run([*command, str(folder)], timeout=10.0)
    except Refused:
        if is_mounted(folder):
            raise


def _failure(place: Path, root: Cid) -> ShaleError:
    """What the process said last."""
    with suppress(OSError):
        lines = (place / "log").read_bytes()[-4096:].decode(errors="replace").strip().splitlines()
        if lines:
            said = lines[-1].removeprefix("shale-kernel mount: ")
            reason = "".join(char if char.isprintable() else "?" for char in said)[:400]
            if "/dev/fuse" in reason:
                return ConfigError("this machine can't mount datasets", reason)
            return Refused(f"{root} can't be mounted", reason)
    return Refused(f"{root} can't be mounted", "its process ended without a word")
