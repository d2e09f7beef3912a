"""A provider's house in memory: desk, lifecycle and engine, on a clock that goes on only when nothing moves."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from tests.counterparts import CountedStore, QuietClock
from tests.desks import Counter, open_counter
from tests.locks import never_wait

from shale.containers.memory import MemoryEngine
from shale.datasets.memory import MemoryVolumes
from shale.provider.anchoring import Anchoring
from shale.provider.identity import new_ssh_key
from shale.provider.lease_volumes import LeaseVolumes
from shale.provider.ledger_books import LedgerBooks
from shale.provider.lifecycle import Lifecycle, LifecycleParts
from shale.provider.metering import MeterParts
from shale.provider.store import Held
from shale.provider.till import Till
from shale.provider.topups import TopUps
from shale.tunnel.gateway import Gateway, Grant
from shale.tunnel.meters import MeterSockets
from shale.units import LeaseId


@dataclass
class Door:
    """What the lifecycle needs of the gateway."""

    user: str = "shale-gateway"
    grants: list[Grant] = field(default_factory=list)
    broken: bool = False

    def allow(self, grants: Iterable[Grant]) -> None:
        if self.broken:
            raise OSError(28, "No space left on device")
        self.grants = list(grants)

    def connection_of(self, pid: int) -> int | None:
        return None

    async def cut(self, connections: Iterable[int]) -> None: ...


@dataclass
class House:
    counter: Counter
    clock: QuietClock
    engine: MemoryEngine
    volumes: MemoryVolumes
    door: Door
    lifecycle: Lifecycle

    async def confirmed(self) -> Held:
        return await self.counter.lease(self.counter.order())

    async def start(self, held: Held) -> None:
        async def progress(step: str, state: str, detail: str) -> None: ...

        await self.lifecycle.start(held, new_ssh_key(), progress)
        await self.clock.settle()

    async def kept(self, lease: LeaseId) -> Held:
        return await self.counter.desk.store.lease(lease)


@asynccontextmanager
async def open_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    clock = QuietClock()
    monkeypatch.setattr("tests.desks.ManualClock", lambda: clock)
    monkeypatch.setattr("tests.desks.Store", CountedStore)
    monkeypatch.setattr(CountedStore, "clock", clock)
    # A socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="shale-test-") as short:
        async with open_counter(tmp_path) as counter:
            await never_wait(counter.desk.store)
            house = await _house(counter, clock, tmp_path, Path(short))
            yield house
            await house.lifecycle.rest()


async def _house(counter: Counter, clock: QuietClock, folder: Path, short: Path) -> House:
    desk, volumes, door = counter.desk, MemoryVolumes(), Door()
    engine, untyped = desk.engine, cast("Gateway", door)
    assert isinstance(engine, MemoryEngine)
    domain = await desk.prover.domain(1, counter.world.deployment.ledger)
    till, topups = Till(desk.store, desk.prover, domain), TopUps(desk.store, desk.chain, 3600)
    parts = LifecycleParts(
        config=desk.config,
        store=desk.store,
        shelf=desk.shelf,
        engine=engine,
        volumes=LeaseVolumes(volumes, engine, "shale"),
        chain=desk.chain,
        anchoring=Anchoring(desk.chain, LedgerBooks(desk.store), clock),
        gateway=untyped,
        sockets=MeterSockets(short / "meters", os.getgid()),
        meter=MeterParts(desk.store, engine, till, clock, counter.operator, desk.signing, desk.signatures, topups),
        keys=desk.keys,
        guest=folder,
        gpu_ids=(),
    )
    return House(counter, clock, engine, volumes, door, Lifecycle(parts))
