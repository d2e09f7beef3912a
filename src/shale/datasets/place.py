"""Place: the folder of one mounted dataset: who holds it, which process serves it, where it is, what it says."""

from __future__ import annotations

import asyncio
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shale.datasets.events import printable
from shale.datasets.holding import Holding
from shale.datasets.mountinfo import detach, is_mounted
from shale.datasets.processes import Process, named, reap, spawn
from shale.datasets.run import source_text
from shale.errors import ConfigError, InputRefused, Refused, ShaleError
from shale.paths import binary, private_dir, write_private
from shale.units import Cid

_END_GRACE = 10.0
_PROGRAM = "shale-kernel"
_NAME = re.compile(r"[A-Za-z0-9]{1,128}(\.[0-9]{1,6})?")
"""A root, and the number of a further copy of it; see volumes.names_of."""


@dataclass(frozen=True, slots=True)
class Place:
    """Below `folder`: the mount point `view`, `holders.json`, `process.json`, the FIFO `events`, `log`.

    What is mounted is the machine's own knowledge (mountinfo, and whether the noted process lives), never ours.
    """

    folder: Path

    @classmethod
    def below(cls, folder: Path, root: Cid) -> Place:
        """The first place of a dataset. Raises InputRefused for a root that is no CID."""
        if not re.fullmatch(r"[A-Za-z0-9]{1,128}", root):
            raise InputRefused(f"{printable(root, 130)!r} is not a root CID", "see shale provider datasets list")
        return cls(folder / root)

    @classmethod
    def all_below(cls, folder: Path) -> list[Place]:
        """Every place there is."""
        if not folder.is_dir():
            return []
        return [cls(path) for path in sorted(folder.iterdir()) if _NAME.fullmatch(path.name)]

    @property
    def root(self) -> Cid:
        return Cid(self.folder.name.partition(".")[0])

    @property
    def view(self) -> Path:
        return self.folder / "view"

    @property
    def events(self) -> Path:
        return self.folder / "events"

    @property
    def process(self) -> Process | None:
        """The mount's process as it was noted; None if no readable note is there."""
        try:
            note = json.loads((self.folder / "process.json").read_bytes())
            return Process(int(note["pid"]), str(note["birth"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def sources(self) -> tuple[str, ...]:
        """What the mount reads, as it was noted; empty if nothing readable is."""
        try:
            return tuple(str(source) for source in json.loads((self.folder / "process.json").read_bytes())["sources"])
        except (OSError, ValueError, KeyError, TypeError):
            return ()

    @property
    def lives(self) -> bool:
        process = self.process
        return process is not None and process.lives and is_mounted(self.view)

    @property
    def holders(self) -> frozenset[str]:
        try:
            return frozenset(str(holder) for holder in json.loads((self.folder / "holders.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return frozenset()

    def note_holders(self, holders: frozenset[str]) -> None:
        """Durable when it returns."""
        write_private(self.folder / "holders.json", json.dumps(sorted(holders)).encode())

    def lay_out(self) -> None:
        private_dir(self.folder.parent)
        private_dir(self.folder)
        self.view.mkdir(exist_ok=True)
        os.mkfifo(self.events, 0o600)

    def serve(self, holding: Holding, output: int) -> Process | None:
        """Start the process that mounts the dataset, and note it; None if it has ended at once."""
        first, *more = (source_text(source) for source in holding.sources)
        arguments = ["mount", "--source", first, "--root", holding.root, "--dir", str(self.view), "--proofs"]
        for source in more:
            arguments += ["--with", source]
        if holding.index is not None:
            arguments += ["--index", str(holding.index)]
        log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            pid = spawn(binary(_PROGRAM), [*arguments, "--verify", "first-touch"], output=output, errors=log)
        finally:
            os.close(log)
        process = Process.of(pid)
        if process is None:
            reap(pid)
            return None
        note = {"pid": process.pid, "birth": process.birth, "sources": holding.sources}
        write_private(self.folder / "process.json", json.dumps(note).encode())
        return process

    async def clear(self) -> None:
        """End the process, detach what is mounted, remove the folder; each may be there or not."""
        if not self.folder.exists():
            return
        process = self.process
        if process is not None:
            await process.end(_END_GRACE)
        else:
            # Whoever started it may have been killed before it could note it.
            for orphan in await asyncio.to_thread(named, _PROGRAM, str(self.view)):
                await orphan.end(_END_GRACE)
        if is_mounted(self.view):
            await detach(self.view)
        with suppress(FileNotFoundError):  # a daemon that goes while the next one comes may clear it too
            for entry in list(os.scandir(self.folder)):
                if not entry.is_dir(follow_symlinks=False):
                    Path(entry.path).unlink(missing_ok=True)
        for folder in (self.view, self.folder):
            with suppress(OSError):  # gone, or somebody keeps files of his own there
                folder.rmdir()

    def failure(self) -> ShaleError:
        """Why the process ended: what it said last."""
        title = f"{self.root} can't be mounted"
        with suppress(OSError):
            lines = (self.folder / "log").read_bytes()[-4096:].decode(errors="replace").strip().splitlines()
            if lines:
                reason = printable(lines[-1].removeprefix("shale-kernel mount: "), 400)
                if "/dev/fuse" in reason:
                    return ConfigError("this machine can't mount datasets", reason)
                return Refused(title, reason)
        return Refused(title, "its process ended without a word")
