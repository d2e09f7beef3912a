"""Upkeep: what the daemon does by itself beside settling: follows its leases on chain, and releases volumes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable

from shale.chain.chain import Chain, LeaseRecord
from shale.clock import Clock
from shale.keeping import Trouble
from shale.market.lease import EndReason
from shale.units import LeaseId

log = logging.getLogger("shale.provider")

FOLLOW_SECONDS = 60.0
"""How often the chain is asked about the living leases."""
OVERDUE_SECONDS = 6 * 3600
"""How long before anyone may close it, with what was redeemed so far, a lease is ended here, to be settled in time."""
SWEEP_SECONDS = 3600.0
"""How often volumes are looked for that no container has any more."""


async def follow(
    chain: Chain,
    clock: Clock,
    living: Callable[[], Iterable[LeaseId]],
    end: Callable[[LeaseId, EndReason], Awaitable[object]],
    topped_up: Callable[[LeaseId, LeaseRecord], Awaitable[object]],
    lost: Callable[[LeaseId], Awaitable[object]],
) -> None:
    """End the leases here that a party has ended on chain, or whose time there runs out; `topped_up` sees the others.

    `lost` hears of those of which the chain had no record at two looks: one may have asked a node that is behind.

    From that End the window runs: a client that ended there and went on paying here would get all back after a day.
    """
    troubles: dict[LeaseId, Trouble] = {}
    missing: set[LeaseId] = set()
    while True:
        await clock.sleep_until(clock.steady() + FOLLOW_SECONDS)
        leases = list(living())
        missing.intersection_update(leases)
        troubles = {lease: troubles.get(lease) or Trouble(_on_chain(lease), clock, log) for lease in leases}
        for lease, trouble in troubles.items():
            try:
                record = await chain.lease(lease)
                if record is None and lease not in missing:
                    missing.add(lease)
                    continue
                missing.discard(lease)
                if record is None:
                    await lost(lease)
                elif record.ended_at or record.closed:
                    await end(lease, record.end_reason or EndReason.CLIENT_ENDED)
                elif record.overdue_at - OVERDUE_SECONDS <= clock.now():
                    await end(lease, EndReason.EXPIRED)
                else:
                    await topped_up(lease, record)
            except Exception as error:  # noqa: BLE001 - one lease must not hide the others
                trouble.note(error)
            else:
                trouble.over()


def _on_chain(lease: LeaseId) -> str:
    return f"lease {lease[:12]}: looking it up on chain"


async def sweep(release_unused: Callable[[frozenset[str]], Awaitable[frozenset[str]]], clock: Clock) -> None:
    """Release the volumes that no container had at two looks: their engine was killed, and said no goodbye."""
    suspects: frozenset[str] = frozenset()
    trouble = Trouble("volumes", clock, log)
    while True:
        await clock.sleep_until(clock.steady() + SWEEP_SECONDS)
        try:
            suspects = await release_unused(suspects)
        except Exception as error:  # noqa: BLE001 - tried again at the next look
            trouble.note(error)
        else:
            trouble.over()
