"""The suite that every Volumes must pass: subclass `VolumesChecks` and give it a `bench` fixture."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import Protocol

from shale.datasets.holding import Holding
from shale.datasets.volumes import Fault, Volumes
from shale.errors import Refused, ShaleError
from shale.units import Cid

ONE, TWO = "lease:one", "docker:two"
ABSENT = Cid("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
"""A root that neither dataset's sources hold."""


class Bench(Protocol):
    """What the suite needs of an adapter's test: `volumes` is fresh; two datasets that can be mounted."""

    volumes: Volumes
    holding: Holding
    other: Holding
    copy: Holding
    """The dataset of `holding`, from another source."""

    def another(self) -> Volumes:
        """The volumes as the daemon finds them after a restart."""
        ...

    async def die(self, root: Cid) -> None:
        """Let the mount of a dataset die at once, as the machine's memory killer would."""
        ...


class VolumesChecks:
    """What the provider relies on: one mount a dataset, all or nothing, durable holders, nothing left."""

    async def test_a_held_dataset_is_listed_with_its_holder(self, bench: Bench) -> None:
        folder = await bench.volumes.hold(bench.holding, ONE)
        assert folder.is_absolute()
        assert folder == bench.volumes.place(bench.holding.root)
        assert await bench.volumes.holders() == {bench.holding.root: {ONE}}

    async def test_holders_of_one_dataset_share_its_mount(self, bench: Bench) -> None:
        calls = [bench.volumes.hold(bench.holding, holder) for holder in (ONE, TWO, ONE)]
        assert len(set(await asyncio.gather(*calls))) == 1
        assert await bench.volumes.holders() == {bench.holding.root: {ONE, TWO}}

    async def test_datasets_have_folders_of_their_own(self, bench: Bench) -> None:
        one, two = await asyncio.gather(bench.volumes.hold(bench.holding, ONE), bench.volumes.hold(bench.other, ONE))
        assert one != two
        await bench.volumes.release(bench.holding.root, ONE)
        assert await bench.volumes.holders() == {bench.other.root: {ONE}}

    async def test_copies_of_one_dataset_have_folders_of_their_own(self, bench: Bench) -> None:
        root = bench.holding.root
        one, two = await asyncio.gather(bench.volumes.hold(bench.holding, ONE), bench.volumes.hold(bench.copy, TWO))
        assert one != two
        assert await bench.volumes.hold(bench.copy, TWO) == two
        assert await bench.volumes.holders() == {root: {ONE, TWO}}
        after = bench.another()
        assert await after.holders() == {root: {ONE, TWO}}
        assert await after.hold(bench.holding, ONE) == one
        await after.release(root, ONE)
        assert await after.holders() == {root: {TWO}}
        assert after.place(root) == two
        assert await after.hold(bench.copy, ONE) == two
        for holder in (ONE, TWO):
            await after.release(root, holder)
        assert await bench.volumes.holders() == {}

    async def test_the_last_release_unmounts(self, bench: Bench) -> None:
        root = bench.holding.root
        await bench.volumes.hold(bench.holding, ONE)
        await bench.volumes.hold(bench.holding, TWO)
        await bench.volumes.release(root, ONE)
        assert await bench.volumes.holders() == {root: {TWO}}
        await bench.volumes.release(root, TWO)
        assert await bench.volumes.holders() == {}

    async def test_holding_and_releasing_may_be_repeated(self, bench: Bench) -> None:
        root = bench.holding.root
        await bench.volumes.release(root, ONE)
        assert await bench.volumes.hold(bench.holding, ONE) == await bench.volumes.hold(bench.holding, ONE)
        await asyncio.gather(bench.volumes.release(root, ONE), bench.volumes.release(root, ONE))
        await bench.volumes.release(root, ONE)
        assert await bench.volumes.holders() == {}
        await bench.volumes.hold(bench.holding, TWO)
        assert await bench.volumes.holders() == {root: {TWO}}

    async def test_a_stranger_releases_nothing(self, bench: Bench) -> None:
        await bench.volumes.hold(bench.holding, ONE)
        await bench.volumes.release(bench.holding.root, TWO)
        await bench.volumes.release(bench.other.root, ONE)
        assert await bench.volumes.holders() == {bench.holding.root: {ONE}}

    async def test_mounts_and_holders_are_found_again_after_a_restart(self, bench: Bench) -> None:
        folder = await bench.volumes.hold(bench.holding, ONE)
        after = bench.another()
        assert await after.holders() == {bench.holding.root: {ONE}}
        assert await after.hold(bench.holding, TWO) == folder
        await after.release(bench.holding.root, ONE)
        assert await bench.volumes.holders() == {bench.holding.root: {TWO}}
        await after.release(bench.holding.root, TWO)
        assert await bench.volumes.holders() == {}

    async def test_what_cannot_be_mounted_is_refused_and_leaves_nothing(self, bench: Bench) -> None:
        nowhere = replace(bench.holding, sources=(bench.holding.sources[0] + ".gone",))
        for holding in (nowhere, Holding(ABSENT, bench.holding.sources)):
            assert await _is_refused(bench.volumes.hold(holding, ONE))
            assert await bench.volumes.holders() == {}
        await bench.volumes.hold(bench.holding, ONE)

    async def test_a_mount_that_dies_is_told_with_who_held_it(self, bench: Bench) -> None:
        told: asyncio.Queue[Fault] = asyncio.Queue()
        bench.volumes.on_fault = told.put_nowait
        await bench.volumes.hold(bench.holding, ONE)
        await bench.volumes.hold(bench.other, TWO)
        await bench.die(bench.holding.root)
        fault = await told.get()
        assert (fault.root, fault.kind, fault.holders) == (bench.holding.root, "gone", frozenset({ONE}))
        assert fault.sources == bench.holding.sources
        assert await bench.volumes.holders() == {bench.other.root: {TWO}}
        await bench.volumes.release(bench.holding.root, ONE)
        await bench.volumes.hold(bench.holding, TWO)
        assert await bench.volumes.holders() == {bench.holding.root: {TWO}, bench.other.root: {TWO}}
        assert told.empty()


async def _is_refused(call: Awaitable[object]) -> bool:
    try:
        await call
    except ShaleError as error:
        return isinstance(error, Refused)
    return False
