"""Earnings: the sums are those of the chain, and each fee has its batch and its leases."""

from __future__ import annotations

import pytest
from tests.desks import FIL, Counter
from tests.settlements import Shop, open_shop

from shale.chain.world import GAS
from shale.provider.earnings import Earnings
from shale.units import AttoFil


@pytest.fixture
def shop(counter: Counter) -> Shop:
    return open_shop(counter)


async def test_what_was_earned_is_collected_and_fees_are_told_apart(shop: Shop) -> None:
    world, counter = shop.counter.world, shop.counter
    world.wallets[shop.operator] = FIL
    one, two, idle = await shop.ended(10), await shop.ended(30), await shop.ended()
    running = await shop.pay(await shop.lease(), 7)
    world.gas_price = AttoFil(3)
    await shop.settle(redeem=False)
    report = await Earnings(counter.desk.store, shop.books, counter.desk.chain, shop.operator).report()
    earned = one.order.price.over(40)
    fee = AttoFil(3) * GAS
    assert report["earned_attofil"] == report["collected_attofil"] == str(earned.value)
    assert report["owed_attofil"] == "0"
    assert report["unredeemed_attofil"] == str(running.order.price.over(7).value)
    assert report["fees_by_kind_attofil"] == {kind: str(fee.value) for kind in ("collect", "refund", "settle")}
    assert report["fees_attofil"] == str(fee.value * 3)
    assert world.wallets[shop.operator] == FIL + earned - fee * 3
    [batch] = report["batches"]
    assert (batch["leases"], batch["fee_attofil"], batch["earned_attofil"]) == (2, str(fee.value), str(earned.value))
    leases = {item["lease_id"]: item for item in report["leases"]}
    assert sum(int(item["fees_attofil"]) for item in leases.values()) == fee.value
    assert int(leases[two.id]["earned_attofil"]) == two.order.price.over(30).value
    assert leases[running.id]["unredeemed_attofil"] == report["unredeemed_attofil"]
    assert idle.id not in leases


async def test_a_period_leaves_older_batches_out(shop: Shop) -> None:
    counter = shop.counter
    await shop.ended(10)
    await shop.settle()
    earnings = Earnings(counter.desk.store, shop.books, counter.desk.chain, shop.operator)
    await counter.clock.advance(3600)
    assert (await earnings.report(counter.clock.now() - 60))["batches"] == []
    assert len((await earnings.report(counter.clock.now() - 7200))["batches"]) == 1


async def test_what_others_closed_before_it_was_redeemed_is_forgone(shop: Shop) -> None:
    counter = shop.counter
    closed, refunded = await shop.ended(30), await shop.ended(9)
    await shop.books.closed([closed.id], 5, closed.order.price.over(12))
    await shop.books.closed([refunded.id], 0)
    earnings = Earnings(counter.desk.store, shop.books, counter.desk.chain, shop.operator)
    report = await earnings.report()
    assert report["forgone_attofil"] == str(closed.order.price.over(18).value)
    assert report["unredeemed_attofil"] == "0"
    await shop.books.reopened(closed.id)
    report = await earnings.report()
    assert (report["forgone_attofil"], report["unredeemed_attofil"]) == ("0", str(closed.order.price.over(30).value))
