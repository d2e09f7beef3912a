"""Upkeep: vouchers are redeemed in time whatever happens, and an End on chain ends the lease here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.desks import Counter
from tests.unit.provider.test_settlement import anchor

from shale.chain.chain import LeaseRecord
from shale.chain.memory import MemoryChain
from shale.clock import ManualClock
from shale.errors import Unavailable
from shale.market.lease import EndReason
from shale.market.order import End
from shale.provider.store import Held
from shale.provider.upkeep import FOLLOW_SECONDS, REDEEM_SECONDS, RETRY_SECONDS, SWEEP_SECONDS, follow, redeem, sweep
from shale.units import ZERO, LeaseId, checked_address

WINDOW = 24 * 3600


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Settling:
    """Counts settlements; the first `failures` of them fail."""

    def __init__(self, failures: int = 0, error: type[Exception] = Unavailable) -> None:
        self.runs = 0
        self._failures = failures
        self._error = error

    async def __call__(self) -> None:
        self.runs += 1
        if self.runs <= self._failures:
            raise self._error("the node does not answer")


async def test_leases_that_end_together_are_settled_once() -> None:
    clock, ended, settling = ManualClock(), asyncio.Event(), Settling()
    async with running(redeem(settling, ended, clock, 60.0)):
        for _ in range(3):
            ended.set()
            await clock.advance(40)
        assert settling.runs == 0
        await clock.advance(60)
        assert settling.runs == 1


@pytest.mark.parametrize("error", [Unavailable, KeyError, OSError])
async def test_a_settlement_that_failed_is_tried_again_without_another_end(error: type[Exception]) -> None:
    clock, ended, settling = ManualClock(), asyncio.Event(), Settling(2, error)
    async with running(redeem(settling, ended, clock, 60.0)):
        ended.set()
        await clock.advance(60)
        await clock.advance(2 * RETRY_SECONDS)
        assert settling.runs == 3
        await clock.advance(10 * RETRY_SECONDS)
        assert settling.runs == 3


async def test_a_lease_that_runs_for_days_is_redeemed_within_the_window() -> None:
    clock, settling = ManualClock(), Settling()
    async with running(redeem(settling, asyncio.Event(), clock, 60.0)):
        await clock.advance(WINDOW)
    assert settling.runs == WINDOW // REDEEM_SECONDS
    assert settling.runs > 1


async def test_a_lease_that_its_client_ended_on_chain_only_ends_here_too(counter: Counter) -> None:
    held, other = await anchored(counter), await anchored(counter)
    end = End(held.lease.order, ZERO, 0, EndReason.CLIENT_ENDED, counter.clock.now())
    chain = MemoryChain(counter.world, checked_address(counter.client.address))
    await chain.end_lease(end, counter.desk.signing.sign(end, counter.client))
    ended: list[tuple[LeaseId, EndReason]] = []

    async def note(lease: LeaseId, reason: EndReason) -> None:
        ended.append((lease, reason))

    async with running(follow(chain, counter.clock, lambda: [held.id, other.id], note)):
        await counter.clock.advance(FOLLOW_SECONDS)
    assert ended == [(held.id, EndReason.CLIENT_ENDED)]


async def test_a_node_that_fails_for_one_lease_hides_no_other(counter: Counter) -> None:
    held = await anchored(counter)
    end = End(held.lease.order, ZERO, 0, EndReason.CLIENT_ENDED, counter.clock.now())
    chain = Deaf(counter.world, checked_address(counter.client.address))
    await chain.end_lease(end, counter.desk.signing.sign(end, counter.client))
    ended: list[LeaseId] = []

    async def note(lease: LeaseId, reason: EndReason) -> None:
        ended.append(lease)

    async with running(follow(chain, counter.clock, lambda: [LeaseId("0x" + "00" * 31), held.id], note)):
        await counter.clock.advance(FOLLOW_SECONDS)
    assert ended == [held.id]


async def test_volumes_are_looked_for_again_after_a_look_that_failed() -> None:
    clock, looks = ManualClock(), []

    async def release(suspects: frozenset[str]) -> frozenset[str]:
        looks.append(suspects)
        if len(looks) == 2:
            raise RuntimeError("a bug")
        return frozenset({"one"})

    async with running(sweep(release, clock)):
        await clock.advance(3 * SWEEP_SECONDS)
    assert looks == [frozenset(), frozenset({"one"}), frozenset({"one"})]


class Deaf(MemoryChain):
    """Does not answer for a lease that it doesn't have."""

    async def lease(self, lease: LeaseId) -> LeaseRecord | None:
        found = await super().lease(lease)
        if found is None:
            raise RuntimeError("a bug in reading what the node answers")
        return found


async def anchored(counter: Counter) -> Held:
    held = await counter.lease(counter.order())
    await anchor(counter, held)
    return held
