"""LeaseVolumes: the datasets of leases as volumes of their containers, and whose holds on them have ended."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from shale.containers.engine import Engine, Volume
from shale.containers.spec import PROOFS_TARGET
from shale.datasets.driver import volume_of
from shale.datasets.holding import Holding
from shale.datasets.volumes import Volumes, release_everywhere
from shale.errors import InputRefused
from shale.provider.shelf import Shelf
from shale.provider.store import Held
from shale.units import Cid, LeaseId, checked_lease_id

log = logging.getLogger("shale.provider")

_HOLDER = "lease:"


class LeaseVolumes:
    """A lease holds its dataset by itself, from before its container is made until after it is removed.

    The container's own holds come through the volume driver, named `driver` to the engine.
    """

    def __init__(self, volumes: Volumes, engine: Engine, driver: str) -> None:
        self._volumes = volumes
        self._engine = engine
        self._driver = driver

    async def hold(self, lease: LeaseId, holding: Holding) -> None:
        """Mount it for the lease: the engine, which asks for it next, has less patience and fewer words."""
        await self._volumes.hold(holding, f"{_HOLDER}{lease}")

    def of(self, held: Held) -> tuple[Volume, ...]:
        """What the lease's container gets: the dataset and what proves it.

        Their names are the lease's own: an engine knows a name by one driver only, and a machine may have two
        providers with one dataset.
        """
        if not held.order.dataset:
            return ()
        dataset, tag = held.order.dataset, _tag(held.id)
        return (
            Volume(f"{dataset}.{tag}", self._driver, held.mount),
            Volume(f"{dataset}.proofs.{tag}", self._driver, PROOFS_TARGET),
        )

    async def release(self, lease: LeaseId) -> None:
        """Its container is gone: so are the holds of it that no engine took back. Raises Unavailable."""
        await release_everywhere(self._volumes, f"{_HOLDER}{lease}")
        left = [
            (root, holder, volume)
            for root, holders in (await self._volumes.holders()).items()
            for holder in holders
            if (volume := volume_of(holder)) is not None and volume.endswith(f".{_tag(lease)}")
        ]
        in_use = await self._engine.volumes_in_use(self._driver) if left else ()
        for root, holder, volume in left:
            if volume not in in_use:
                log.info("dataset %s: released: its engine has left %s mounted", root, volume)
                await self._volumes.release(root, holder)

    async def leases(self, root: Cid | None = None) -> frozenset[LeaseId]:
        """The leases whose dataset can be read now; with a root, those that have this one."""
        holders = await self._volumes.holders()
        chosen = holders.values() if root is None else [holders.get(root, frozenset())]
        return leases_among(frozenset[str]().union(*chosen))

    async def release_all_but(self, living: Collection[LeaseId]) -> None:
        for lease in await self.leases() - set(living):
            await self.release(lease)

    async def release_unused(self, suspects: frozenset[str] | None = None) -> frozenset[str]:
        """The containers' holds whose volume no container has; those among `suspects` (None: all) are released.

        Their end came while nobody listened: the daemon was down, or the engine was killed. A container that is
        being made may hold a volume before the engine lists it, so only a second sight is sure.
        """
        held = await self._volumes.holders()
        in_use = await self._engine.volumes_in_use(self._driver)
        unused = set()
        for root, holders in held.items():
            for holder in holders:
                volume = volume_of(holder)
                if volume is None or volume in in_use:
                    continue
                unused.add(holder)
                if suspects is None or holder in suspects:
                    log.info("dataset %s: released: no container has %s any more", root, volume)
                    await self._volumes.release(root, holder)
        return frozenset(unused)


def _tag(lease: LeaseId) -> str:
    """What ends the names of a lease's volumes."""
    return lease[2:18]


class Offered:
    """The shelf as the catalogue of the volume driver."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def find(self, cid: str) -> Holding:
        return (await self._shelf.find(cid)).holding

    async def roots(self) -> Sequence[Cid]:
        return [item.listing.root for item in await self._shelf.readable()]


def leases_among(holders: Collection[str]) -> frozenset[LeaseId]:
    """The leases that are holders."""
    found = set()
    for holder in holders:
        if holder.startswith(_HOLDER):
            try:
                found.add(checked_lease_id(holder.removeprefix(_HOLDER)))
            except InputRefused:
                log.warning("%s holds a dataset and is no lease", holder)
    return frozenset(found)
