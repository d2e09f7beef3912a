"""Upkeep: what the daemon does by itself: redeems vouchers in time, and follows its leases on chain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from shale.chain.chain import Chain
from shale.clock import Clock, wait_event
from shale.keeping import Trouble
from shale.market.lease import EndReason
from shale.units import LeaseId

log = logging.getLogger("shale.provider")

REDEEM_SECONDS = 6 * 3600.0
"""The longest that vouchers wait: a day after an End on chain anybody may close a lease with what was proven so far."""
RETRY_SECONDS = 60.0
"""How soon a settlement that failed is tried again."""
FOLLOW_SECONDS = 60.0
"""How often the chain is asked about the living leases."""
SWEEP_SECONDS = 3600.0
"""How often volumes are looked for that no container has any more."""


async def redeem(settle: Callable[[], Awaitable[object]], ended: asyncio.Event, clock: Clock, company: float) -> None:
    """Settle once leases have ended and no other has for `company` seconds, and every few hours while they run."""
    trouble, wait = Trouble("settlement", clock, log), REDEEM_SECONDS
    while True:
        await wait_event(clock, ended, wait)
        while ended.is_set():
            ended.clear()
            await wait_event(clock, ended, company)
        try:
            await settle()
        except Exception as error:  # noqa: BLE001 - what was earned is redeemed in time, whatever fails
            trouble.note(error)
            wait = RETRY_SECONDS
        else:
            trouble.over()
            wait = REDEEM_SECONDS


async def follow(
    chain: Chain,
    clock: Clock,
    living: Callable[[], Iterable[LeaseId]],
    end: Callable[[LeaseId, EndReason], Awaitable[object]],
) -> None:
    """End the leases here that a party has ended on chain.

    From that End the window runs: a client that ended there and went on paying here would get all back after a day.
    """
    troubles: dict[LeaseId, Trouble] = {}
    while True:
        await clock.sleep_until(clock.steady() + FOLLOW_SECONDS)
        leases = list(living())
        troubles = {lease: troubles.get(lease) or Trouble(_on_chain(lease), clock, log) for lease in leases}
        for lease, trouble in troubles.items():
            try:
                record = await chain.lease(lease)
                if record is not None and (record.ended_at or record.closed):
                    await end(lease, record.end_reason or EndReason.CLIENT_ENDED)
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
