"""TopUps: a deposit that has been raised on chain lengthens its lease here, at once and without a restart."""

from __future__ import annotations

import logging
from collections.abc import Callable

from shale.chain.chain import Chain, LeaseRecord
from shale.provider.store import Store
from shale.units import LeaseId, format_duration

log = logging.getLogger("shale.provider")


class TopUps:
    """`on_raised` hears of each lease whose deposit has grown, and of the seconds that it is now good for."""

    def __init__(self, store: Store, chain: Chain) -> None:
        self._store = store
        self._chain = chain
        self.on_raised: Callable[[LeaseId, int], object] = lambda _lease, _seconds: None

    async def look(self, lease: LeaseId) -> int:
        """Ask the chain. Returns the seconds that the lease's deposit is good for.

        Raises Closed for a lease that isn't ours, Unavailable when the chain doesn't answer.
        """
        return await self.take(lease, await self._chain.lease(lease))

    async def take(self, lease: LeaseId, record: LeaseRecord | None) -> int:
        """The same, where the chain has been asked already."""
        held = await self._store.lease(lease)
        price = held.order.price.per_second.value
        if record is None or record.closed or record.deposit <= held.collateral or not price:
            return held.max_seconds
        seconds = record.deposit.value // price
        await self._store.set_extra_seconds(lease, seconds - held.order.max_seconds)
        log.info("lease %s: topped up to %s", lease[:12], format_duration(seconds))
        self.on_raised(lease, seconds)
        return seconds
