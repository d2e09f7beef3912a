"""TopUps: a deposit that has been raised on chain lengthens its lease here, at once and without a restart.

What a reorganisation may yet take out of the deposit is believed for `risk` seconds beyond what is final, no further.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from shale.chain.chain import Chain, LeaseRecord
from shale.errors import Unavailable
from shale.provider.store import Store
from shale.units import LeaseId, format_duration

log = logging.getLogger("shale.provider")


class TopUps:
    """`on_raised` hears of each lease whose deposit has grown: of the seconds that it may now run, and how many of
    them no reorganisation takes away."""

    def __init__(self, store: Store, chain: Chain, risk: int) -> None:
        self._store = store
        self._chain = chain
        self._risk = risk
        self.on_raised: Callable[[LeaseId, int, int], object] = lambda _lease, _seconds, _sure: None

    async def look(self, lease: LeaseId) -> int:
        """Ask the chain. Returns the seconds that the lease's deposit is good for.

        Raises Closed for a lease that isn't ours, Unavailable when the chain doesn't answer.
        """
        return await self.take(lease, await self._chain.lease(lease))

    async def take(self, lease: LeaseId, record: LeaseRecord | None) -> int:
        """The same, where the chain has been asked already."""
        held = await self._store.lease(lease)
        price = held.order.price.per_second.value
        if record is None or record.closed or not price:
            return held.max_seconds
        most, sure = record.deposit.value // price, held.sure_max
        if most <= sure and most <= held.max_seconds:
            return held.max_seconds
        if most > sure:
            sure = max(sure, min(most, await self._final(lease) // price))
        seconds = max(held.max_seconds, min(most, sure + self._risk))
        if (seconds, sure) == (held.max_seconds, held.sure_max):
            return seconds
        if sure > held.sure_max:
            await self._store.set_sure(lease, sure)
        if seconds > held.max_seconds:
            await self._store.set_extra_seconds(lease, seconds - held.order.max_seconds)
            rest = "" if seconds == most else f", of {format_duration(most)}: the rest once it is final"
            log.info("lease %s: topped up to %s%s", lease[:12], format_duration(seconds), rest)
        self.on_raised(lease, seconds, sure)
        return seconds

    async def _final(self, lease: LeaseId) -> int:
        """The deposit in attoFIL as of the final block; 0 when the node can't tell."""
        try:
            return (await self._chain.final_deposit(lease, await self._chain.heads())).value
        except Unavailable as error:
            log.info("lease %s: its deposit in the final block is not known: %s", lease[:12], error)
            return 0
