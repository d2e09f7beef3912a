"""Settlement through crashes, lost answers, forks and refusals: nothing is lost, proven or posted twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.desks import open_counter
from tests.settlements import Killed, Shop, open_shop

from shale.chain.chain import LeaseRecord, Receipt
from shale.chain.memory import MemoryChain
from shale.errors import ConfigError, Refused, Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.payments.batch import Operation, Proof
from shale.provider.desk import ACCEPTANCE_SECONDS
from shale.provider.ledger_books import BatchState
from shale.provider.topups import TopUps
from shale.units import Address, LeaseId

DAY = 24 * 3600


async def test_a_lease_that_the_chain_never_had_is_settled_with_nothing(shop: Shop) -> None:
    counter = shop.counter
    held = await counter.lease(counter.order())
    await counter.desk.store.end(held.id, EndReason.ANCHOR_FAILED, counter.clock.now())
    await counter.clock.advance(ACCEPTANCE_SECONDS + 3601)
    assert await shop.settle() == []
    assert (await counter.desk.store.lease(held.id)).lease.state is LeaseState.SETTLED


async def test_a_top_up_that_a_reorganisation_took_costs_only_what_was_served_on_it(shop: Shop) -> None:
    world, store = shop.counter.world, shop.counter.desk.store
    world.depth = 50
    held, other = await shop.lease(), await shop.ended(8)
    topups = TopUps(store, shop.counter.desk.chain, 3600)
    before = world.mark()
    await MemoryChain(world, shop.client).top_up(held.order, 100)
    assert await topups.look(held.id) == 3700
    held = await shop.pay(held, 3598)
    held = await shop.pay(held, 3699)
    world.rewind(before)
    held = await shop.end(held)
    settlement = await shop.start()
    [batch] = await settlement.run()
    assert set(batch.batch.leases) == {held.id, other.id}
    [left] = settlement.unclaimed.values()
    assert (left.lease, left.amount) == (held.id, held.order.price.over(101))
    assert "top-up" in left.why
    assert (await shop.books.forgone()) == {held.id: held.order.price.over(101)}
    await shop.check_money((held, 3598), (other, 8))


async def test_a_final_top_up_is_claimed_whole_and_leaves_nothing_unclaimed(shop: Shop) -> None:
    world, store = shop.counter.world, shop.counter.desk.store
    world.depth = 50
    held = await shop.lease()
    topups = TopUps(store, shop.counter.desk.chain, 3600)
    await MemoryChain(world, shop.client).top_up(held.order, 100)
    await topups.look(held.id)
    held = await shop.pay(held, 3699)
    assert held.sure_voucher is None
    world.mine(50)
    await topups.look(held.id)
    held = await store.lease(held.id)
    assert (held.sure_max, held.sure_voucher) == (3700, held.voucher)
    await shop.end(held)
    settlement = await shop.start()
    await settlement.run()
    assert settlement.unclaimed == {}
    await shop.check_money((held, 3699))


async def test_what_was_paid_for_a_lease_that_the_chain_has_lost_is_told(shop: Shop) -> None:
    before = shop.counter.world.mark()
    held = await shop.ended(20)
    shop.counter.world.rewind(before)
    settlement = await shop.start()
    assert await settlement.run() == []
    [left] = settlement.unclaimed.values()
    assert (left.lease, left.amount) == (held.id, held.order.price.over(20))
    assert "no such lease" in left.why


async def test_a_node_that_is_behind_makes_no_lease_be_given_up(shop: Shop) -> None:
    held = await shop.ended(20)
    world = shop.counter.world

    class Behind(MemoryChain):
        async def lease(self, lease: LeaseId) -> LeaseRecord | None:
            return None

    await shop.counter.clock.advance(7 * DAY)
    assert await shop.settle(Behind(world, shop.operator)) == []
    [batch] = await shop.settle()
    assert batch.batch.leases == (held.id,)
    await shop.check_money((held, 20))


async def test_a_lease_that_never_comes_to_the_chain_is_given_up_and_what_it_earned_is_told(shop: Shop) -> None:
    before = shop.counter.world.mark()
    held = await shop.ended(20)
    shop.counter.world.rewind(before)
    await shop.counter.clock.advance(7 * DAY)
    settlement = await shop.start()
    assert await settlement.run() == []
    assert (await shop.counter.desk.store.lease(held.id)).lease.state is LeaseState.SETTLED
    assert await shop.books.forgone() == {held.id: held.order.price.over(20)}


async def test_a_top_up_is_claimed(shop: Shop) -> None:
    held = await shop.lease()
    await MemoryChain(shop.counter.world, shop.client).top_up(held.order, 100)
    held = await shop.end(await shop.pay(held, 3650))
    await shop.settle()
    await shop.check_money((held, 3650))
    assert (await shop.counter.desk.store.lease(held.id)).max_seconds == 3700


class Lossy(MemoryChain):
    """A chain whose node takes a batch and then doesn't answer, or doesn't even take it."""

    takes = True
    waits = 0

    async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
        if self.takes:
            await super().settle(provider, operations, proof)
        raise Unavailable("the node went away")

    async def waiting(self) -> int:
        return self.waits


@pytest.mark.parametrize("takes", [True, False])
@pytest.mark.parametrize("running", [True, False])
async def test_a_batch_whose_answer_was_lost_is_neither_lost_nor_proven_nor_posted_twice(
    shop: Shop, takes: bool, running: bool
) -> None:
    held = await shop.pay(await shop.lease(), 7)
    if not running:
        held = await shop.end(held)
    lossy = Lossy(shop.counter.world, shop.operator)
    lossy.takes = takes
    with pytest.raises(Unavailable):
        await shop.settle(lossy)
    batches = await shop.settle()
    assert len(batches) == (0 if takes else 1)
    assert shop.proofs == 1
    if running:
        await shop.check_tree()
        await shop.end(held)
        await shop.settle()
    await shop.check_money((held, 7))


async def test_while_its_transaction_waits_a_batch_is_not_posted_again(shop: Shop) -> None:
    held = await shop.ended(7)
    lossy = Lossy(shop.counter.world, shop.operator)
    lossy.takes, lossy.waits = False, 1
    with pytest.raises(Unavailable):
        await shop.settle(lossy)
    with pytest.raises(Unavailable, match="waits"):
        await shop.settle(lossy)
    lossy.waits = 0
    await shop.settle()
    assert shop.proofs == 1
    await shop.check_money((held, 7))


async def test_a_wallet_without_gas_loses_no_proof(shop: Shop) -> None:
    held = await shop.ended(7)

    class Poor(MemoryChain):
        async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
            raise ConfigError("the wallet has nothing", "fund it")

    with pytest.raises(ConfigError):
        await shop.settle(Poor(shop.counter.world, shop.operator))
    await shop.settle()
    assert shop.proofs == 1
    await shop.check_money((held, 7))


async def test_a_batch_that_the_contract_refuses_is_told_and_planned_anew(shop: Shop) -> None:
    held = await shop.ended(6)

    class Refusing(MemoryChain):
        async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
            raise Refused("the proof does not hold", "prove it again")

    with pytest.raises(Refused, match="does not hold"):
        await shop.settle(Refusing(shop.counter.world, shop.operator))
    assert [kept.state for kept in await shop.books.kept(*BatchState)] == [BatchState.REFUSED]
    await shop.settle()
    await shop.check_money((held, 6))


async def test_a_batch_becomes_final_once_no_reorganisation_takes_it_back(shop: Shop) -> None:
    world = shop.counter.world
    world.depth = 10
    await shop.ended(5)
    await shop.settle()
    assert [kept.state for kept in await shop.books.kept(*BatchState)] == [BatchState.MINED]
    world.mine(10)
    await shop.settle()
    assert [kept.state for kept in await shop.books.kept(*BatchState)] == [BatchState.FINAL]


@pytest.mark.parametrize("running", [True, False])
async def test_the_books_follow_a_reorganisation_back_and_post_the_same_proof_again(shop: Shop, running: bool) -> None:
    world = shop.counter.world
    world.depth = 10
    held, idle = await shop.pay(await shop.lease(), 30), await shop.ended()
    if not running:
        held = await shop.end(held)
    mark = world.mark()
    await shop.settle()
    world.rewind(mark)
    [again] = await shop.settle()
    assert (again.batch.leases, shop.proofs) == ((held.id,), 1)
    if running:
        await shop.end(held)
        await shop.settle()
    await shop.check_money((held, 30), (idle, 0))


async def test_a_reorganisation_that_only_moves_a_batch_changes_nothing(shop: Shop) -> None:
    world = shop.counter.world
    world.depth = 10
    held = await shop.ended(30)
    [settled] = await shop.settle()
    world.state.receipts[settled.receipt.tx] = replace(settled.receipt, block=settled.receipt.block + 1)
    assert await shop.settle() == []
    [kept] = await shop.books.kept(BatchState.MINED)
    assert kept.block == settled.receipt.block + 1
    await shop.check_money((held, 30))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_kill_at_any_step_loses_no_money_and_no_proof(tmp_path: Path, after: bool) -> None:
    """Each step of a settlement is once the last that it does; the next one brings all to its end."""
    fatal, died = 0, True
    while died:
        fatal += 1
        folder = tmp_path / str(fatal)
        folder.mkdir()
        async with open_counter(folder) as counter:
            shop = open_shop(counter)
            running, idle = await shop.pay(await shop.lease(), 11), await shop.ended()
            await shop.settle()
            running, ended = await shop.pay(running, 30), await shop.ended(4)
            again = await shop.ended()
            shop.proofs, shop.steps.count, shop.steps.named = 0, 0, []
            shop.steps.fatal, shop.steps.after = fatal, after
            died = False
            try:
                await shop.settle()
            except Killed:
                died = True
            shop.steps.fatal = -1
            await shop.settle()
            # Only a proof that was being made, or was made and not kept yet, is made again.
            lost = (shop.steps.named[fatal - 1], after) in (("prove", True), ("keep", False)) and died
            assert shop.proofs == (2 if lost else 1)
            await shop.end(running)
            await shop.settle()
            await shop.check_money((running, 30), (idle, 0), (ended, 4), (again, 0))
    assert fatal > 15
