"""Settling: nobody waits for a refund longer than was promised, and nobody pays for a batch that can wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shale.clock import ManualClock
from shale.errors import Unavailable
from shale.provider.settling import (
    FIRST_GAS,
    GAS_OF_A_LEASE,
    PATIENCE_SECONDS,
    REDEEM_SECONDS,
    RETRY_SECONDS,
    Rules,
    Service,
    Waiting,
    decide,
)
from shale.units import ZERO, AttoFil

FEE = AttoFil(1000)


class Settling:
    """Counts settlements, which settle what ended; the first `failures` of them fail."""

    def __init__(self, clock: ManualClock, failures: int = 0, error: type[Exception] = Unavailable) -> None:
        self.runs: list[tuple[int, bool]] = []
        self.fees: list[AttoFil] = []
        self.failures = failures
        self.error = error
        self.ended: list[int] = []
        self.passes_over = False
        self.clock = clock

    async def run(self, redeem: bool = True, fee: AttoFil = ZERO) -> None:
        self.fees.append(fee)
        self.runs.append((self.clock.now(), redeem))
        if len(self.runs) <= self.failures:
            raise self.error("the node does not answer")
        if not self.passes_over:
            self.ended.clear()

    async def waiting(self) -> Waiting:
        return Waiting(tuple(self.ended), last_gas=1)


@asynccontextmanager
async def running(settling: Settling, rules: Rules | None = None, fee: AttoFil = ZERO) -> AsyncIterator[Service]:
    async def gas_price() -> AttoFil:
        return fee

    service = Service(settling, rules or Rules(), settling.clock, gas_price)
    task = asyncio.create_task(service.run())
    await settling.clock.settle()
    try:
        yield service
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def ends(settling: Settling, service: Service) -> None:
    settling.ended.append(settling.clock.now())
    service.ended.set()


async def test_a_lone_lease_is_settled_ten_minutes_after_its_end() -> None:
    settling = Settling(ManualClock())
    async with running(settling) as service:
        ends(settling, service)
        await settling.clock.advance(599)
        assert settling.runs == []
        await settling.clock.advance(2)
        assert [redeem for _, redeem in settling.runs] == [False]


async def test_leases_that_end_within_the_wait_are_settled_together() -> None:
    settling = Settling(ManualClock())
    async with running(settling) as service:
        for _ in range(5):
            ends(settling, service)
            await settling.clock.advance(100)
        await settling.clock.advance(150)
    assert len(settling.runs) == 1


async def test_a_full_batch_does_not_wait() -> None:
    settling = Settling(ManualClock())
    async with running(settling, Rules(min_leases=3)) as service:
        for _ in range(3):
            ends(settling, service)
        await settling.clock.advance(1)
    assert len(settling.runs) == 1


@pytest.mark.parametrize("error", [Unavailable, KeyError, OSError])
async def test_a_settlement_that_failed_is_tried_again_and_told(error: type[Exception]) -> None:
    settling = Settling(ManualClock(), 2, error)
    async with running(settling) as service:
        ends(settling, service)
        await settling.clock.advance(601)
        assert ("the node does not answer" in service.trouble) == (error is Unavailable)
        assert service.trouble
        await settling.clock.advance(2 * RETRY_SECONDS)
        assert (len(settling.runs), service.trouble) == (3, "")
        await settling.clock.advance(10 * RETRY_SECONDS)
        assert len(settling.runs) == 3


async def test_a_lease_that_a_settlement_passes_over_waits_again() -> None:
    """It isn't on chain yet: neither a busy loop nor never again."""
    settling = Settling(ManualClock())
    settling.passes_over = True
    async with running(settling, Rules(max_wait=100, min_leases=1)) as service:
        ends(settling, service)
        await settling.clock.advance(450)
    assert 4 <= len(settling.runs) <= 6


async def test_leases_that_run_for_days_are_redeemed_every_six_hours() -> None:
    settling = Settling(ManualClock())
    async with running(settling):
        await settling.clock.advance(24 * 3600)
    assert [redeem for _, redeem in settling.runs] == [True] * int(24 * 3600 // REDEEM_SECONDS)


async def test_a_dear_chain_is_waited_for_and_not_forever() -> None:
    settling = Settling(ManualClock())
    async with running(settling, Rules(max_fee=AttoFil(999)), FEE) as service:
        ends(settling, service)
        await settling.clock.advance(PATIENCE_SECONDS - 2 * RETRY_SECONDS)
        assert settling.runs == []
        assert "settle.max_fee" in service.last.why
        await settling.clock.advance(3 * RETRY_SECONDS)
        assert len(settling.runs) == 1


async def test_a_dear_chain_puts_redemptions_off_and_not_forever() -> None:
    settling = Settling(ManualClock())
    async with running(settling, Rules(max_fee=AttoFil(999)), FEE):
        await settling.clock.advance(REDEEM_SECONDS + PATIENCE_SECONDS - 2 * RETRY_SECONDS)
        assert settling.runs == []
        await settling.clock.advance(3 * RETRY_SECONDS)
        assert [redeem for _, redeem in settling.runs] == [True]


async def test_a_dear_redemption_holds_no_ended_lease_up_longer_than_its_own_patience() -> None:
    settling = Settling(ManualClock())
    async with running(settling, Rules(max_fee=AttoFil(999)), FEE) as service:
        ends(settling, service)
        await settling.clock.advance(PATIENCE_SECONDS + 2 * RETRY_SECONDS)
    assert [redeem for _, redeem in settling.runs] == [False]


async def test_a_redemption_is_told_what_a_batch_costs() -> None:
    settling = Settling(ManualClock())
    async with running(settling, fee=FEE):
        await settling.clock.advance(REDEEM_SECONDS + 1)
    assert settling.fees == [FEE]


def test_before_the_first_batch_its_gas_is_guessed_by_its_leases() -> None:
    few, many = Waiting((0,), running=4), Waiting((0,) * 64, running=1000)
    assert FIRST_GAS < few.gas(redeem=False) < few.gas(redeem=True) < many.gas(redeem=False)
    assert many.gas(redeem=True) == FIRST_GAS + 256 * GAS_OF_A_LEASE
    assert Waiting((0,), last_gas=7, running=4).gas(redeem=True) == 7


def test_a_fee_at_the_limit_is_paid() -> None:
    assert decide(Rules(max_fee=FEE), (0,), 601, FEE).now
    assert not decide(Rules(max_fee=FEE), (0,), 601, FEE + AttoFil(1)).now


def test_nothing_to_settle_is_nothing_to_do() -> None:
    assert not decide(Rules(), (), 10**9, ZERO).now
