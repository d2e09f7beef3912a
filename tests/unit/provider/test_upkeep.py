"""Upkeep: what happens to a lease on chain happens to it here too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from tests.desks import Counter
from tests.settlements import opening_of

from shale.chain.chain import LeaseRecord
from shale.chain.memory import MemoryChain
from shale.clock import ManualClock
from shale.market.lease import EndReason
from shale.market.order import End
from shale.provider.store import Held
from shale.provider.topups import TopUps
from shale.provider.upkeep import FOLLOW_SECONDS, OVERDUE_SECONDS, SWEEP_SECONDS, follow, sweep
from shale.units import ZERO, LeaseId, checked_address


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_lease_that_its_client_ended_on_chain_only_ends_here_too(counter: Counter) -> None:
    held, other = await anchored(counter), await anchored(counter)
    end = End(held.lease.order, ZERO, 0, EndReason.CLIENT_ENDED, counter.clock.now())
    chain = MemoryChain(counter.world, checked_address(counter.client.address))
    await chain.end_lease(end, counter.desk.signing.sign(end, counter.client))
    ended: list[tuple[LeaseId, EndReason]] = []

    async def note(lease: LeaseId, reason: EndReason) -> None:
        ended.append((lease, reason))

    async with running(follow(chain, counter.clock, lambda: [held.id, other.id], note, unheard, unlost)):
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

    async with running(
        follow(chain, counter.clock, lambda: [LeaseId("0x" + "00" * 31), held.id], note, unheard, unlost)
    ):
        await counter.clock.advance(FOLLOW_SECONDS)
    assert ended == [held.id]


async def test_a_lease_whose_time_on_chain_runs_out_is_ended_before_anyone_may_close_it(counter: Counter) -> None:
    held = await anchored(counter)
    record = await counter.desk.chain.lease(held.id)
    assert record is not None
    ended: list[tuple[LeaseId, EndReason]] = []

    async def note(lease: LeaseId, reason: EndReason) -> None:
        ended.append((lease, reason))

    async with running(follow(counter.desk.chain, counter.clock, lambda: [held.id], note, unheard, unlost)):
        await counter.clock.advance(record.overdue_at - counter.clock.now() - OVERDUE_SECONDS - 2 * FOLLOW_SECONDS)
        assert ended == []
        await counter.clock.advance(3 * FOLLOW_SECONDS)
    assert ended[0] == (held.id, EndReason.EXPIRED)
    assert counter.clock.now() < record.overdue_at


async def test_an_anchor_that_the_chain_lost_is_told_at_the_second_look_that_misses_it(counter: Counter) -> None:
    before = counter.world.mark()
    held = await anchored(counter)
    there, lost = counter.world.mark(), []

    async def note(lease: LeaseId) -> None:
        lost.append(lease)

    chain = counter.desk.chain
    async with running(follow(chain, counter.clock, lambda: [held.id], never, unheard, note)):
        await counter.clock.advance(FOLLOW_SECONDS)
        counter.world.rewind(before)
        await counter.clock.advance(FOLLOW_SECONDS)
        counter.world.rewind(there)  # a node that was behind
        await counter.clock.advance(FOLLOW_SECONDS)
        counter.world.rewind(before)
        await counter.clock.advance(FOLLOW_SECONDS)
        assert lost == []
        await counter.clock.advance(FOLLOW_SECONDS)
    assert lost == [held.id]


async def test_a_top_up_is_noticed_on_chain_without_a_word_from_its_client(counter: Counter) -> None:
    held = await anchored(counter)
    topups = TopUps(counter.desk.store, counter.desk.chain, 3600)
    raised: list[tuple[LeaseId, int]] = []
    heard = asyncio.Event()

    def hear(lease: LeaseId, seconds: int, sure: int) -> None:
        raised.append((lease, seconds))
        heard.set()

    topups.on_raised = hear
    chain = MemoryChain(counter.world, checked_address(counter.client.address))
    await chain.top_up(held.order, 500)
    async with running(follow(chain, counter.clock, lambda: [held.id], never, topups.take, unlost)):
        await counter.clock.advance(FOLLOW_SECONDS)
        await heard.wait()
    assert raised == [(held.id, held.order.max_seconds + 500)]
    kept = await counter.desk.store.lease(held.id)
    assert (kept.max_seconds, kept.collateral) == (
        held.max_seconds + 500,
        held.order.price.over(held.max_seconds + 500),
    )


async def test_a_top_up_that_is_not_final_is_believed_for_a_limited_time(counter: Counter) -> None:
    held, world = await anchored(counter), counter.world
    world.depth = 50
    world.mine(50)
    topups = TopUps(counter.desk.store, counter.desk.chain, 60)
    raised: list[tuple[int, int]] = []
    topups.on_raised = lambda _lease, seconds, sure: raised.append((seconds, sure))
    first = held.order.max_seconds
    await MemoryChain(world, checked_address(counter.client.address)).top_up(held.order, 500)
    assert await topups.look(held.id) == first + 60
    assert await topups.look(held.id) == first + 60
    world.mine(50)
    assert await topups.look(held.id) == first + 500
    assert raised == [(first + 60, first), (first + 500, first + 500)]
    kept = await counter.desk.store.lease(held.id)
    assert (kept.max_seconds, kept.sure_max) == (first + 500, first + 500)


async def unheard(lease: LeaseId, record: LeaseRecord) -> None:
    """A lease that goes on as it was."""


async def unlost(lease: LeaseId) -> None:
    raise AssertionError("it is on chain")


async def never(lease: LeaseId, reason: EndReason) -> None:
    raise AssertionError("it runs on")


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
    await counter.desk.chain.open_leases([opening_of(held)])
    return held
