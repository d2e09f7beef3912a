"""The meter while the books or the engine fail: nobody runs free, nobody is charged for what he didn't get."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.counterparts import GRACE, MAX_SECONDS, PATIENCE, TICK, Both, new_lease
from tests.locks import locked, never_wait

from shale.errors import Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.units import LeaseId


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    """A lease whose two sides run and have met, on books that say at once when they are locked."""
    lease = await new_lease(tmp_path)
    await never_wait(lease.store)
    await lease.start_provider()
    lease.start_agent()
    await lease.clock.settle()
    yield lease
    await lease.close()


async def test_while_the_books_are_locked_a_lease_is_frozen_past_its_grace_and_goes_on_later(both: Both) -> None:
    await both.clock.advance(12)
    paid = (await both.kept()).lease.seconds
    with locked(both.store):
        await both.clock.advance(paid - 12 + GRACE + 5)
        assert both.frozen
        served = both.meter.served
        assert served <= paid + GRACE + 1.1
        await both.clock.advance(30)
        assert both.meter.served == served
    await both.clock.advance(3)
    assert not both.frozen
    await both.clock.advance(10)
    kept = await both.kept()
    assert (kept.lease.state, kept.lease.seconds > paid) == (LeaseState.RUNNING, True)


async def test_books_that_stay_locked_end_the_lease_by_the_hosts_fault_and_not_as_unpaid(both: Both) -> None:
    await both.clock.advance(12)
    with locked(both.store):
        await both.clock.advance(TICK + GRACE + PATIENCE + 30)
        assert both.frozen
        assert both.finals == []
    await both.clock.advance(3)
    assert (await both.kept()).lease.end_reason is EndReason.HOST_FAILURE
    assert both.rental.end_reason is EndReason.HOST_FAILURE


async def test_a_client_that_is_not_there_while_the_books_are_locked_has_not_paid(both: Both) -> None:
    await both.clock.advance(12)
    await both.stop_agent()
    with locked(both.store):
        await both.clock.advance(TICK + GRACE + 30)
        assert both.frozen
    await both.clock.advance(PATIENCE)
    assert (await both.kept()).lease.end_reason is EndReason.UNPAID


async def test_a_lease_whose_money_is_spent_does_not_run_on_while_the_books_are_locked(both: Both) -> None:
    await both.clock.advance(MAX_SECONDS - 1)
    with locked(both.store):
        await both.clock.advance(5)
        assert both.frozen
        served = both.meter.served
        await both.clock.advance(60)
        assert both.meter.served == served
    await both.clock.advance(2)
    assert (await both.kept()).lease.end_reason is EndReason.COLLATERAL_SPENT


async def test_a_thawed_lease_is_metered_though_the_books_do_not_know_it_yet(both: Both) -> None:
    await both.stop_agent()
    await both.clock.advance(TICK + GRACE + 2)
    assert both.frozen
    thawed = both.store.thawed
    calls: list[LeaseId] = []

    async def failing(lease: LeaseId) -> object:
        calls.append(lease)
        if len(calls) < 4:
            raise Unavailable("the books are locked")
        return await thawed(lease)

    both.store.thawed = failing  # type: ignore[method-assign, assignment]
    served = both.meter.served
    await both.meter.pay(await both.voucher(20))
    await both.clock.advance(2)
    assert not both.frozen
    assert both.meter.served - served == pytest.approx(2, abs=0.1)
    assert (await both.kept()).lease.state is LeaseState.FROZEN
    await both.clock.advance(2)
    assert (await both.kept()).lease.state is LeaseState.RUNNING
    assert len(calls) == 4


async def test_a_bug_in_a_step_neither_ends_the_meter_nor_lets_the_client_run_free(both: Both) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    both.store.set_served = broken  # type: ignore[method-assign]
    await both.clock.advance(22)
    assert (await both.kept()).lease.seconds >= 20, "the readings go out all the same"
    await both.stop_agent()
    await both.clock.advance(TICK + GRACE + 2)
    assert both.frozen


async def test_an_engine_that_cannot_freeze_ends_the_lease_by_the_hosts_fault(both: Both) -> None:
    async def failing(lease: LeaseId) -> None:
        raise Unavailable("the engine hangs")

    both.engine.freeze = failing  # type: ignore[method-assign]
    both.meter._terms = replace(both.meter._terms, patience=60)
    await both.stop_agent()
    await both.clock.advance(TICK + GRACE + 50)
    assert both.finals == [], "it may come back"
    await both.clock.advance(20)
    assert (await both.kept()).lease.end_reason is EndReason.HOST_FAILURE
