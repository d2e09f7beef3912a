"""Faults of mounted datasets: counted all, told a few, no longer offered; and holds whose holders are gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from tests.desks import ROOT, Counter, open_counter
from tests.locks import locked, never_wait

from shale.containers.engine import ContainerSpec
from shale.containers.memory import MemoryEngine
from shale.datasets.driver import holder_of
from shale.datasets.holding import Holding
from shale.datasets.memory import MemoryVolumes
from shale.datasets.volumes import Fault
from shale.market.lease import EndReason
from shale.market.resources import Resources
from shale.provider.faults import PER_MINUTE, RETRY_SECONDS, Faults
from shale.provider.lease_volumes import LeaseVolumes, Offered
from shale.provider.shelf import Shelf
from shale.tunnel.messages import Notice
from shale.units import Cid, LeaseId

LEASE, OTHER = LeaseId("0x" + "a1" * 31), LeaseId("0x" + "a2" * 31)
CORRUPT = Fault(ROOT, "corrupt", "its bytes have another hash", "a", "bafy", 4096)
CHANGED = Fault(ROOT, "changed", "/cars/a.car was written to")
UNREADABLE = Fault(ROOT, "unreadable", "the disk fails", "a", "bafy", 8192)


@dataclass
class Leases:
    """What the faults need of the lifecycle."""

    told: list[tuple[Cid, Notice]] = field(default_factory=list)
    ended: list[tuple[LeaseId, EndReason]] = field(default_factory=list)

    async def tell(self, root: Cid, notice: Notice) -> None:
        self.told.append((root, notice))

    def living(self) -> list[LeaseId]:
        return [LEASE]

    async def end(self, lease: LeaseId, reason: EndReason) -> None:
        self.ended.append((lease, reason))


@dataclass
class Room:
    counter: Counter
    shelf: Shelf
    leases: Leases
    metrics: CollectorRegistry
    faults: Faults

    def counted(self, kind: str) -> float:
        return self.metrics.get_sample_value("shale_dataset_faults_total", {"kind": kind}) or 0.0

    async def worked_off(self) -> None:
        await self.faults.settled()


@pytest_asyncio.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with open_counter(tmp_path) as counter:
        shelf, leases, metrics = Shelf(counter.desk.store), Leases(), CollectorRegistry()
        untyped: Any = leases
        faults = Faults(shelf, untyped, counter.clock, metrics)
        work = asyncio.create_task(faults.run())
        yield Room(counter, shelf, leases, metrics, faults)
        work.cancel()


async def test_a_fault_is_told_to_the_leases_and_the_dataset_no_longer_offered(room: Room) -> None:
    assert await Offered(room.shelf).roots() == [ROOT]
    room.faults.report(CORRUPT)
    await room.worked_off()
    assert await Offered(room.shelf).roots() == []
    text = "dataset fault at a, offset 4096 of the piece: corrupt block"
    assert room.leases.told == [(ROOT, Notice("dataset", text))]
    assert [item.fault for item in await room.shelf.all()] == [text]


async def test_of_very_many_faults_all_are_counted_and_a_few_told(room: Room) -> None:
    for _ in range(1000):
        room.faults.report(CORRUPT)
    await room.worked_off()
    assert len(room.leases.told) == PER_MINUTE
    assert room.counted("corrupt") == 1000
    await room.counter.clock.advance(61)
    room.faults.report(CORRUPT)
    await room.worked_off()
    assert len(room.leases.told) == PER_MINUTE + 1


@pytest.mark.parametrize("vague", [CHANGED, UNREADABLE])
async def test_a_block_that_is_known_to_be_bad_takes_the_place_of_a_vaguer_fault(room: Room, vague: Fault) -> None:
    for fault in [vague] * PER_MINUTE + [CORRUPT, vague, replace(CORRUPT, offset=9999)]:
        room.faults.report(fault)
    await room.worked_off()
    (item,) = await room.shelf.all()
    assert item.fault == "dataset fault at a, offset 4096 of the piece: corrupt block"
    assert item.faults == PER_MINUTE + 2, "of the vaguer ones no more than those of a minute"


async def test_a_mount_that_died_ends_the_living_leases_that_held_it(room: Room) -> None:
    holders = frozenset({f"lease:{LEASE}", f"lease:{OTHER}", "lease:junk", "docker:bafy:1"})
    room.faults.report(Fault(ROOT, "gone", "the dataset's mount has died", holders=holders))
    await room.worked_off()
    assert room.leases.ended == [(LEASE, EndReason.HOST_FAILURE)]
    assert await Offered(room.shelf).roots() == [ROOT], "its bytes are sound as far as anybody knows"


async def test_a_fault_that_locked_books_cannot_take_is_worked_off_when_they_can(room: Room) -> None:
    await never_wait(room.counter.desk.store)
    with locked(room.counter.desk.store):
        room.faults.report(CORRUPT)
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert room.leases.told == []
    assert await Offered(room.shelf).roots() == [ROOT]
    await room.counter.clock.advance(RETRY_SECONDS)
    await asyncio.wait_for(room.worked_off(), 10)
    assert await Offered(room.shelf).roots() == []
    assert len(room.leases.told) == 1


class TestLeaseVolumes:
    def setup_method(self) -> None:
        self.volumes, self.engine = MemoryVolumes(), MemoryEngine()
        self.leased = LeaseVolumes(self.volumes, self.engine, "shale")
        self.holding = Holding(ROOT, ("/cars/one.car",))

    async def test_holds_of_leases_that_ended_meanwhile_are_released(self) -> None:
        for lease in (LEASE, OTHER):
            await self.leased.hold(lease, self.holding)
        await self.leased.release_all_but([OTHER])
        assert await self.leased.leases(ROOT) == {OTHER}

    async def test_holds_of_containers_that_are_gone_are_released(self, room: Room) -> None:
        held = await room.counter.lease(room.counter.order())
        volumes = self.leased.of(held)
        names = [volume.name for volume in volumes]
        resources = Resources(100, 1 << 20)
        await self.engine.start(
            ContainerSpec(held.id, "one", "shale/base:latest", resources, Path("/g"), Path("/k"), volumes=volumes)
        )
        await self.leased.hold(held.id, self.holding)
        for name, caller in ((names[0], "1"), (names[1], "2"), ("bafyother", "3")):
            await self.volumes.hold(self.holding, holder_of(name, caller))
        assert await self.leased.release_unused(frozenset()) == {holder_of("bafyother", "3")}
        assert len(self.volumes.mounted[ROOT].holders) == 4, "seen once is not enough"
        await self.leased.release_unused(frozenset({holder_of("bafyother", "3")}))
        assert self.volumes.mounted[ROOT].holders == {
            f"lease:{held.id}", holder_of(names[0], "1"), holder_of(names[1], "2")
        }  # fmt: skip
        await self.engine.remove(held.id, names)
        await self.leased.release_unused()
        assert self.volumes.mounted[ROOT].holders == {f"lease:{held.id}"}

    async def test_what_an_engine_left_mounted_of_a_lease_is_released_with_it(self, room: Room) -> None:
        held = await room.counter.lease(room.counter.order())
        volumes = self.leased.of(held)
        names = [volume.name for volume in volumes]
        resources = Resources(100, 1 << 20)
        await self.leased.hold(held.id, self.holding)
        for name in (*names, f"{ROOT}.mine"):
            await self.volumes.hold(self.holding, holder_of(name, "1"))
        await self.engine.start(
            ContainerSpec(held.id, "one", "shale/base:latest", resources, Path("/g"), Path("/k"), volumes=volumes)
        )
        await self.leased.release(held.id)
        left = self.volumes.mounted[ROOT].holders
        assert left == {holder_of(name, "1") for name in (*names, f"{ROOT}.mine")}, "its container still has them"
        await self.engine.remove(held.id, names)
        await self.leased.release(held.id)
        assert self.volumes.mounted[ROOT].holders == {holder_of(f"{ROOT}.mine", "1")}


async def test_an_index_that_a_mount_could_not_use_is_told_to_whoever_makes_it_again_and_to_no_client(
    room: Room,
) -> None:
    doubted: list[tuple[str, tuple[str, ...], str]] = []

    async def doubt(root: Cid, sources: Sequence[str], why: str) -> None:
        doubted.append((root, tuple(sources), why))

    untyped: Any = room.leases
    faults = Faults(room.shelf, untyped, room.counter.clock, CollectorRegistry(), doubt)
    work = asyncio.create_task(faults.run())
    faults.report(Fault(ROOT, "index", "it is truncated", sources=("/cars/a.car",)))
    await faults.settled()
    work.cancel()
    assert doubted == [(ROOT, ("/cars/a.car",), "it is truncated")]
    assert room.leases.told == []
    assert await Offered(room.shelf).roots() == [ROOT], "withdrawing it is not for the faults to do"
