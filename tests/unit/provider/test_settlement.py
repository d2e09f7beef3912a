"""Settlement: money comes to the attoFIL, by as few proofs as fit, and what it costs is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.desks import FIL
from tests.settlements import Shop

from shale.chain.chain import Receipt, TooDear
from shale.chain.memory import MemoryChain
from shale.errors import Unavailable
from shale.market.lease import EndReason
from shale.payments.batch import Operation, Proof
from shale.units import Address, AttoFil, LeaseId


async def test_an_ended_lease_is_paid_and_refunded_to_the_attofil(shop: Shop) -> None:
    held = await shop.ended(50)
    [settled] = await shop.settle()
    assert settled.kept.proof.earned == held.order.price.over(50)
    assert settled.kept.proof.earned + settled.kept.refunded == held.collateral
    await shop.check_money((held, 50))
    record = await shop.counter.desk.chain.lease(held.id)
    assert record is not None
    assert record.end_reason is EndReason.CLIENT_ENDED, "the close carries it: no End is anchored"
    assert record.ended_at == 0


async def test_many_leases_are_settled_by_one_proof_of_the_size_that_fits(shop: Shop) -> None:
    held = [await shop.ended(10 + n) for n in range(3)]
    [settled] = await shop.settle()
    assert (settled.batch.size, len(settled.batch.leases), shop.proofs) == (8, 3, 1)
    await shop.check_money(*((one, 10 + n) for n, one in enumerate(held)))


async def test_settling_again_does_nothing(shop: Shop) -> None:
    await shop.ended(5)
    await shop.settle()
    assert await shop.settle() == []


async def test_a_lease_that_earned_nothing_is_refunded_without_a_proof(shop: Shop) -> None:
    one, two = await shop.ended(), await shop.ended()
    assert await shop.settle() == []
    assert shop.proofs == 0
    await shop.check_money((one, 0), (two, 0))


async def test_a_refund_that_one_lease_spoils_goes_to_the_others(shop: Shop) -> None:
    """Its client has closed one of them in the meantime."""
    one, two = await shop.ended(), await shop.ended()

    class Spoiled(MemoryChain):
        async def refund(self, leases: Sequence[LeaseId]) -> Receipt:
            if one.id in leases and (record := await self.lease(one.id)) and not record.closed:
                await super().refund([one.id])
            return await super().refund(leases)

    await shop.settle(Spoiled(shop.counter.world, shop.operator))
    await shop.settle()
    await shop.check_money((one, 0), (two, 0))


async def test_a_running_lease_is_redeemed_and_stays_in_the_tree(shop: Shop) -> None:
    held = await shop.pay(await shop.lease(), 20)
    assert await shop.settle(redeem=False) == []
    await shop.settle()
    [leaf] = await shop.books.tree()
    assert (leaf.lease, leaf.amount, leaf.seconds) == (held.id, held.order.price.over(20), 20)
    held = await shop.end(await shop.pay(held, 35))
    await shop.settle()
    await shop.check_money((held, 35))


async def test_a_running_lease_is_redeemed_once_in_a_run(shop: Shop) -> None:
    held = await shop.pay(await shop.lease(), 20)

    class Paying(MemoryChain):
        async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
            receipt = await super().settle(provider, operations, proof)
            await shop.pay(held, 25)
            return receipt

    assert len(await shop.settle(Paying(shop.counter.world, shop.operator))) == 1


async def test_what_a_running_lease_paid_waits_until_it_is_worth_its_fee(shop: Shop) -> None:
    held = await shop.pay(await shop.lease(), 10)
    worth = held.order.price.over(10)
    settlement = await shop.start()
    assert await settlement.run(fee=worth + AttoFil(1)) == []
    assert len(await settlement.run(fee=worth)) == 1


async def test_an_ended_lease_is_settled_whatever_it_is_worth(shop: Shop) -> None:
    held = await shop.ended(10)
    await (await shop.start()).run(fee=FIL)
    await shop.check_money((held, 10))


class Dear(MemoryChain):
    """Takes batches of `most` leases at most: those of more cost too much gas."""

    most = 1

    async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
        if proof.size > self.most:
            raise TooDear("the transaction's gas may cost 3.000 FIL, over max_gas_fee = 2 FIL", "wait, or raise it")
        return await super().settle(provider, operations, proof)


async def test_a_batch_that_is_too_dear_is_made_of_fewer_leases(shop: Shop) -> None:
    held = [await shop.ended(10) for _ in range(3)]
    settled = await shop.settle(Dear(shop.counter.world, shop.operator))
    assert [one.batch.size for one in settled] == [1, 1, 1]
    await shop.check_money(*((one, 10) for one in held))


async def test_the_smallest_batch_that_is_too_dear_is_told_and_its_proof_kept(shop: Shop) -> None:
    held, chain = await shop.ended(10), Dear(shop.counter.world, shop.operator)
    chain.most = 0
    with pytest.raises(Unavailable, match="max_gas_fee"):
        await shop.settle(chain)
    await shop.settle()
    assert shop.proofs == 1
    await shop.check_money((held, 10))


async def test_leases_in_two_windows_take_two_proofs(shop: Shop) -> None:
    shop.sizes = (1,)
    held = [await shop.ended(4), await shop.ended(6)]
    assert len(await shop.settle()) == 2
    await shop.check_money((held[0], 4), (held[1], 6))


async def test_earnings_and_refunds_add_up_to_the_deposits(shop: Shop) -> None:
    held = [await shop.ended(seconds) for seconds in (1, 3600, 77, 900)]
    batches = await shop.settle()
    earned = sum((batch.kept.proof.earned.value for batch in batches), 0)
    refunded = sum((batch.kept.refunded.value for batch in batches), 0)
    assert earned + refunded == sum(one.collateral.value for one in held)


async def test_a_stage_is_told_while_it_lasts(shop: Shop) -> None:
    await shop.ended(5)
    settlement = await shop.start()
    seen: list[dict[str, Any]] = []

    class Watched(MemoryChain):
        async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
            seen.append(settlement.stage.to_json())
            return await super().settle(provider, operations, proof)

    settlement._chain = Watched(shop.counter.world, shop.operator)
    await settlement.run()
    assert seen == [{"stage": "posting", "size": 1, "leases": 1}]
    assert settlement.stage.to_json() == {"stage": "idle"}
