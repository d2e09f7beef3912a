"""FuseVolumes: datasets mounted by the kernel's FUSE server, one process for each, which outlives the daemon."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from shale.datasets.events import Listener, fault_from
from shale.datasets.holding import Holding
from shale.datasets.place import Place
from shale.datasets.processes import Process
from shale.datasets.reach import reach, servers_of
from shale.datasets.volumes import MAX_HOLDER, Fault, OnFault, names_of
from shale.errors import InputRefused, ShaleError, Unavailable
from shale.units import Cid

log = logging.getLogger("shale.datasets")


class FuseVolumes:
    """The port of volumes.py. `folder` keeps a place for each mounted dataset, see place.py.

    A mount's events come through a FIFO that the mount itself holds open: it outlives the daemon, and what is said
    meanwhile waits in it. Its end of file is the process's death.
    """

    def __init__(self, folder: Path, *, ready_seconds: float = 300.0) -> None:
        self.on_fault: OnFault = lambda fault: None
        self._folder = Path(os.path.realpath(folder))  # as mountinfo names it
        self._ready_seconds = ready_seconds
        self._locks: WeakValueDictionary[Cid, asyncio.Lock] = WeakValueDictionary()
        self._listeners: dict[str, Listener] = {}
        self._mounting: set[str] = set()
        self._burials: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"FuseVolumes({str(self._folder)!r})"

    async def hold(self, holding: Holding, holder: str) -> Path:
        if not 1 <= len(holder) <= MAX_HOLDER:
            raise InputRefused("that is no holder of a volume", f"name it by 1 to {MAX_HOLDER} characters")
        root = Place.below(self._folder, holding.root).root
        async with self._lock(root):
            place = self._place_for(holding)
            if place.lives:
                await self._listen(place)
                if holder not in place.holders:
                    place.note_holders(place.holders | {holder})
                return place.view
            await self._bury(place)
            try:
                await self._start(place, holding, holder)
            except BaseException:
                with suppress(ShaleError):
                    await asyncio.shield(self._clear(place))
                raise
        return place.view

    async def release(self, root: Cid, holder: str) -> None:
        async with self._lock(root):
            for place in [Place.below(self._folder, root), *self._places(root)]:
                left = place.holders - {holder}
                if left != place.holders:
                    place.note_holders(left)
                if not left:
                    await self._clear(place)

    def look_anew(self, root: Cid, sources: tuple[str, ...]) -> None:
        for place in self._places(root):
            process = place.process
            if process is not None and place.sources in (sources, ()):
                process.hang_up()

    async def holders(self) -> Mapping[Cid, frozenset[str]]:
        found: dict[Cid, frozenset[str]] = {}
        for place in Place.all_below(self._folder):
            lock = self._lock(place.root)
            if lock.locked():
                # A mount or its end is under way, which takes as long as its server does: what stands on the disk is
                # asked alone, and nobody else's dataset waits.
                if place.folder.name not in self._mounting and place.lives and place.holders:
                    found[place.root] = found.get(place.root, frozenset()) | place.holders
                continue
            async with lock:
                if place.lives and place.holders:
                    await self._listen(place)
                    found[place.root] = found.get(place.root, frozenset()) | place.holders
                else:
                    await self._bury(place)
        return found

    def place(self, root: Cid) -> Path:
        first = Place.below(self._folder, root)
        return next((place.view for place in self._places(root) if place.lives), first.view)

    async def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        for task in self._burials:
            task.cancel()
        await asyncio.gather(*self._burials, return_exceptions=True)

    def _places(self, root: Cid) -> list[Place]:
        """Those that this root has, with and without a mount."""
        return [place for place in Place.all_below(self._folder) if place.root == root]

    def _place_for(self, holding: Holding) -> Place:
        """The mount of these sources that lives, else the first place that is free for one."""
        taken = {place.folder.name: place for place in self._places(holding.root) if place.lives}
        for place in taken.values():
            # A mount of before its sources were noted is the only one of its root.
            if place.sources in (holding.sources, ()):
                return place
        return Place(self._folder / next(name for name in names_of(holding.root) if name not in taken))

    def _lock(self, root: Cid) -> asyncio.Lock:
        return self._locks.setdefault(root, asyncio.Lock())

    async def _start(self, place: Place, holding: Holding, holder: str) -> None:
        self._mounting.add(place.folder.name)
        try:
            await reach(holding.sources)
            await self._mount(place, holding, holder)
        finally:
            self._mounting.discard(place.folder.name)

    async def _mount(self, place: Place, holding: Holding, holder: str) -> None:
        place.lay_out()
        place.note_holders(frozenset({holder}))
        ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def told(event: dict[str, Any]) -> None:
            if event.get("event") == "ready" and not ready.done():
                ready.set_result(True)
            self._told(place, event)

        def gone() -> None:
            if not ready.done():
                ready.set_result(False)
            elif process is not None:
                self._died(place, process)

        # Held open for writing until the process has it: without a writer it counts as gone.
        output = os.open(place.events, os.O_RDWR | os.O_CLOEXEC)
        process: Process | None = None
        try:
            self._listeners[place.folder.name] = await Listener.on(place.events, told, gone)
            process = place.serve(holding, output)
        finally:
            os.close(output)
        try:
            if process is None or not await asyncio.wait_for(ready, self._ready_seconds):
                raise place.failure()
        except TimeoutError:
            servers = servers_of(holding.sources)
            whence = f" (it is read from {servers})" if servers else ""
            raise Unavailable(
                f"mounting {place.root} took over {self._ready_seconds:g} s{whence}", "check where it lies"
            ) from None

    async def _listen(self, place: Place) -> None:
        """Take up a mount that an earlier daemon made."""
        process = place.process
        if place.folder.name in self._listeners or process is None:
            return
        self._listeners[place.folder.name] = await Listener.on(
            place.events, lambda event: self._told(place, event), lambda: self._died(place, process)
        )

    def _told(self, place: Place, event: dict[str, Any]) -> None:
        fault = fault_from(place.root, event, place.holders, place.sources)
        if fault is not None:
            self.on_fault(fault)

    def _died(self, place: Place, process: Process) -> None:
        task = asyncio.get_running_loop().create_task(self._bury_process(place, process))
        self._burials.add(task)
        task.add_done_callback(self._burials.discard)

    async def _bury_process(self, place: Place, process: Process) -> None:
        async with self._lock(place.root):
            if place.process == process:  # else it was buried already, and this is a later one's place
                try:
                    await self._bury(place)
                except Exception:
                    log.exception("%s: clearing its dead mount", place.root)

    async def _bury(self, place: Place) -> None:
        """Clear away a mount that is dead, or never came to be, and say so if somebody counted on it."""
        holders, sources = place.holders, place.sources
        await self._clear(place)
        if holders:
            message = "the dataset's mount has died"
            self.on_fault(Fault(place.root, "gone", message, holders=holders, sources=sources))

    async def _clear(self, place: Place) -> None:
        listener = self._listeners.pop(place.folder.name, None)
        if listener is not None:
            listener.close()
        await place.clear()
