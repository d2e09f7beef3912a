"""Till: vouchers that come together are verified and kept together; each lease hears of its own alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.desks import Counter
from tests.settlements import Shop, open_shop

from shale.errors import Unavailable, VoucherRefused
from shale.market.order import PayKey
from shale.payments.voucher import Voucher
from shale.proofs.memory import MemoryProver
from shale.provider.store import Held
from shale.provider.till import Till
from shale.units import AttoFil


class Slow(MemoryProver):
    """Answers when the others have had their turn, and notes how many were asked about at once."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.broken = False

    async def verify(self, key: PayKey, domain: str, voucher: Voucher) -> bool:
        return (await self.verify_many([(key, voucher)], domain))[0]

    async def verify_many(self, items: Sequence[tuple[PayKey, Voucher]], domain: str) -> list[bool]:
        await asyncio.sleep(0.001)
        self.asked.append(len(items))
        if self.broken:
            raise Unavailable("the prover died")
        return await super().verify_many(items, domain)


@pytest.fixture
def shop(counter: Counter) -> Shop:
    return open_shop(counter)


async def voucher_of(shop: Shop, held: Held, seconds: int) -> Voucher:
    amount = held.order.price.over(seconds)
    return await shop.counter.desk.prover.sign(shop.secrets[held.id], await shop.domain(), held.id, amount, seconds)


async def test_vouchers_of_many_leases_take_few_calls_and_all_are_kept(shop: Shop) -> None:
    held, prover = [await shop.lease() for _ in range(3)], Slow()
    till = Till(shop.counter.desk.store, prover, await shop.domain())
    vouchers = [(one, await voucher_of(shop, one, tick)) for tick in range(1, 11) for one in held]
    for tick in range(10):
        part = vouchers[tick * 3 : tick * 3 + 3]
        await asyncio.gather(*(till.take(one.order.pay_key, voucher, 1.0, True) for one, voucher in part))
    assert len(prover.asked) <= 20
    for one in held:
        assert (await shop.counter.desk.store.lease(one.id)).lease.seconds == 10


async def test_a_forged_voucher_among_good_ones_is_refused_alone(shop: Shop) -> None:
    one, two = await shop.lease(), await shop.lease()
    till = Till(shop.counter.desk.store, Slow(), await shop.domain())
    good, bad = await voucher_of(shop, one, 5), await voucher_of(shop, two, 5)
    forged = replace(bad, amount=bad.amount + AttoFil(1))
    outcomes = await asyncio.gather(
        *(till.take(held.order.pay_key, voucher, 1.0, True) for held, voucher in ((two, forged), (one, good))),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], VoucherRefused)
    assert outcomes[1] is None
    assert (await shop.counter.desk.store.lease(one.id)).voucher == good
    assert (await shop.counter.desk.store.lease(two.id)).voucher is None


async def test_one_of_an_ended_lease_holds_up_no_other(shop: Shop) -> None:
    one, two = await shop.lease(), await shop.lease()
    till = Till(shop.counter.desk.store, Slow(), await shop.domain())
    await shop.end(two)
    vouchers = [(held, await voucher_of(shop, held, 5)) for held in (one, two)]
    outcomes = await asyncio.gather(
        *(till.take(held.order.pay_key, voucher, 1.0, True) for held, voucher in vouchers), return_exceptions=True
    )
    assert outcomes[0] is None
    assert isinstance(outcomes[1], VoucherRefused)


async def test_a_prover_that_dies_keeps_nothing_and_the_next_voucher_is_taken(shop: Shop) -> None:
    held, prover = await shop.lease(), Slow()
    till = Till(shop.counter.desk.store, prover, await shop.domain())
    voucher = await voucher_of(shop, held, 5)
    prover.broken = True
    with pytest.raises(Unavailable):
        await till.take(held.order.pay_key, voucher, 1.0, True)
    assert (await shop.counter.desk.store.lease(held.id)).voucher is None
    prover.broken = False
    await till.take(held.order.pay_key, voucher, 1.0, True)
    assert (await shop.counter.desk.store.lease(held.id)).voucher == voucher


async def test_a_caller_that_gives_up_takes_nobody_with_it(shop: Shop) -> None:
    one, two = await shop.lease(), await shop.lease()
    till = Till(shop.counter.desk.store, Slow(), await shop.domain())
    first = asyncio.create_task(till.take(one.order.pay_key, await voucher_of(shop, one, 5), 1.0, True))
    second = asyncio.create_task(till.take(two.order.pay_key, await voucher_of(shop, two, 5), 1.0, True))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert (await shop.counter.desk.store.lease(two.id)).lease.seconds == 5
