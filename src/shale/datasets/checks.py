"""The suite that every Mounts must pass: subclass `MountsChecks` and give it a `bench` fixture."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Protocol

from shale.datasets.mount import Mounts
from shale.errors import Refused, ShaleError
from shale.units import Cid, LeaseId

LEASE = LeaseId("0x" + "d1" * 31)
OTHER_LEASE = LeaseId("0x" + "d2" * 31)
ABSENT = Cid("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
"""A root that neither source holds."""


class Bench(Protocol):
    """What the suite needs of an adapter's test: `mounts` is fresh; two sources, each with its root."""

    mounts: Mounts
    source: Path
    root: Cid
    other_source: Path
    other_root: Cid

    def another(self) -> Mounts:
        """The mounts as the daemon finds them after a restart."""
        ...


class MountsChecks:
    """What the provider relies on: one mount a lease, all or nothing, found again, nothing left."""

    async def test_a_mounted_dataset_is_listed(self, bench: Bench) -> None:
        folder = await bench.mounts.mount(LEASE, bench.source, bench.root)
        assert folder.is_absolute()
        assert list(await bench.mounts.all()) == [LEASE]

    async def test_mounting_again_gives_the_same_folder(self, bench: Bench) -> None:
        calls = [bench.mounts.mount(LEASE, bench.source, bench.root) for _ in range(3)]
        assert len(set(await asyncio.gather(*calls))) == 1
        assert list(await bench.mounts.all()) == [LEASE]

    async def test_leases_have_folders_of_their_own(self, bench: Bench) -> None:
        one = await bench.mounts.mount(LEASE, bench.source, bench.root)
        two = await bench.mounts.mount(OTHER_LEASE, bench.source, bench.root)
        assert one != two
        await bench.mounts.unmount(LEASE)
        assert list(await bench.mounts.all()) == [OTHER_LEASE]

    async def test_a_lease_keeps_its_dataset(self, bench: Bench) -> None:
        folder = await bench.mounts.mount(LEASE, bench.source, bench.root)
        assert await _is_refused(bench.mounts.mount(LEASE, bench.other_source, bench.other_root))
        assert await bench.mounts.mount(LEASE, bench.source, bench.root) == folder

    async def test_a_mount_is_found_again_after_a_restart(self, bench: Bench) -> None:
        folder = await bench.mounts.mount(LEASE, bench.source, bench.root)
        after = bench.another()
        assert list(await after.all()) == [LEASE]
        assert await after.mount(LEASE, bench.source, bench.root) == folder
        await after.unmount(LEASE)
        assert list(await bench.mounts.all()) == []

    async def test_unmounting_may_be_repeated(self, bench: Bench) -> None:
        await bench.mounts.unmount(LEASE)
        await bench.mounts.mount(LEASE, bench.source, bench.root)
        await asyncio.gather(bench.mounts.unmount(LEASE), bench.mounts.unmount(LEASE))
        await bench.mounts.unmount(LEASE)
        assert list(await bench.mounts.all()) == []

    async def test_an_unmounted_lease_can_mount_another_dataset(self, bench: Bench) -> None:
        await bench.mounts.mount(LEASE, bench.source, bench.root)
        await bench.mounts.unmount(LEASE)
        await bench.mounts.mount(LEASE, bench.other_source, bench.other_root)
        assert list(await bench.mounts.all()) == [LEASE]

    async def test_what_cannot_be_mounted_is_refused_and_leaves_nothing(self, bench: Bench) -> None:
        nowhere = bench.source.with_name("no-such.car")
        for source, root in ((nowhere, bench.root), (bench.source, ABSENT)):
            assert await _is_refused(bench.mounts.mount(LEASE, source, root))
            assert list(await bench.mounts.all()) == []
        await bench.mounts.mount(LEASE, bench.source, bench.root)


async def _is_refused(call: Awaitable[object]) -> bool:
    try:
        await call
    except ShaleError as error:
        return isinstance(error, Refused)
    return False
