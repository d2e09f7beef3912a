"""Topping up: whole ticks at the agreed price, out of the right purse, and everybody concerned hears of it."""

from __future__ import annotations

from typing import Any

import pytest

from shale.client.rental import Rental
from shale.client.topping import Topping
from shale.errors import Closed, ConfigError, InputRefused, Refused
from shale.market.lease import EndReason
from shale.paths import Home
from shale.units import ZERO, AttoFil

TICK = 5


class Desk:
    """A running lease on chain, and the parts that top it up."""

    def __init__(self, bench: Any, rental: Rental) -> None:
        self.bench = bench
        self.rental = rental
        self.told: list[str] = []
        self.said: list[tuple[str, str]] = []

    def topping(self) -> Topping:
        async def tell(home: Home, name: str) -> None:
            self.told.append(name)

        bench = self.bench
        return Topping(
            bench.home, bench.chain, bench.account, bench.store, bench.leasing().free_balance, tell, bench.door.open
        )

    async def top_up(self, seconds: int | None = None, amount: AttoFil | None = None) -> Rental:
        topping = self.topping()
        plan = await topping.plan(self.rental, seconds, amount)
        self.rental, _ = await topping.top_up(self.rental, plan, lambda name, state, _: self.said.append((name, state)))
        return self.rental


@pytest.fixture
async def desk(bench: Any) -> Desk:
    rental = await bench.lease()
    await bench.anchor(rental)
    return Desk(bench, rental)


async def test_time_is_added_in_whole_ticks_and_both_sides_hear(desk: Desk) -> None:
    price = desk.rental.price
    rental = await desk.top_up(seconds=TICK * 3 - 1)
    assert (rental.max_seconds, rental.collateral) == (3600 + 15, price.over(3615))
    record = await desk.bench.chain.lease(rental.id)
    assert record.deposit == rental.collateral
    assert desk.told == [rental.name]
    assert f"POST /v1/leases/{rental.id}/topup" in desk.bench.door.calls
    assert desk.bench.store.raise_paid(rental.id, price.over(3610), 3610, 5).paid == price.over(3610)


async def test_an_amount_buys_the_whole_ticks_that_it_reaches(desk: Desk) -> None:
    amount = desk.rental.price.over(TICK * 4) + AttoFil(1)
    plan = await desk.topping().plan(desk.rental, None, amount)
    assert (plan.extra_seconds, plan.amount) == (TICK * 4, desk.rental.price.over(TICK * 4))


async def test_the_ledger_balance_comes_before_the_wallet(desk: Desk) -> None:
    bench, cost = desk.bench, desk.rental.price.over(100)
    await bench.chain.deposit(cost - AttoFil(1))
    plan = await desk.topping().plan(desk.rental, 100, None)
    assert plan.deposit == AttoFil(1)
    await desk.top_up(seconds=100)
    assert await bench.chain.ledger_balance(bench.me) == ZERO


async def test_a_provider_that_does_not_answer_stops_no_top_up(desk: Desk) -> None:
    desk.bench.door.silent = True
    rental = await desk.top_up(seconds=60)
    assert rental.extra_seconds == 60
    assert ("provider", "failed") in desk.said


async def test_a_second_top_up_adds_to_the_first(desk: Desk) -> None:
    await desk.top_up(seconds=60)
    assert (await desk.top_up(seconds=30)).max_seconds == 3690


async def test_what_somebody_else_paid_is_taken_over(desk: Desk) -> None:
    from shale.chain.memory import MemoryChain

    stranger = MemoryChain(desk.bench.world, desk.rental.order.provider)
    desk.bench.world.wallets[desk.rental.order.provider] = desk.rental.price.over(40)
    await stranger.top_up(desk.rental.order, 40)
    assert (await desk.topping().refresh(desk.rental)).extra_seconds == 40


async def test_less_than_a_tick_is_refused(desk: Desk) -> None:
    for seconds, amount in ((0, None), (None, AttoFil(1)), (None, ZERO)):
        with pytest.raises(InputRefused, match="tick"):
            await desk.topping().plan(desk.rental, seconds, amount)


async def test_over_ten_years_is_refused(desk: Desk) -> None:
    with pytest.raises(InputRefused, match="10 years"):
        await desk.topping().plan(desk.rental, 10 * 365 * 86400, None)


async def test_without_the_money_it_says_what_is_missing(desk: Desk) -> None:
    desk.bench.world.wallets[desk.bench.me] = AttoFil(1)
    with pytest.raises(ConfigError, match="the top-up is"):
        await desk.topping().plan(desk.rental, 3600, None)


async def test_a_lease_that_is_not_on_chain_yet_waits(bench: Any) -> None:
    desk = Desk(bench, await bench.lease())
    with pytest.raises(Refused, match="not on the chain yet"):
        await desk.topping().plan(desk.rental, 60, None)


async def test_an_ended_lease_is_not_topped_up(desk: Desk) -> None:
    ended = desk.bench.store.end(desk.rental.id, EndReason.CLIENT_ENDED, 5)
    with pytest.raises(Closed, match="has ended"):
        await desk.topping().plan(ended, 60, None)
