"""Settlement: money comes to the attoFIL, whatever crashes, is taken back, refused or done by others meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.desks import FIL, Counter, open_counter
from tests.settlements import Killed, Shop, open_shop

from shale.chain.chain import LeaseRecord, OnLedger, Receipt, TooDear
from shale.chain.memory import MemoryChain
from shale.errors import ConfigError, Refused, Unavailable
from shale.ledger.rebuild import rebuild_at
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End
from shale.payments.batch import SIZES, Operation, Proof
from shale.payments.history import ShardHistory
from shale.provider.desk import ACCEPTANCE_SECONDS
from shale.provider.ledger_books import BatchState
from shale.provider.store import Held
from shale.provider.topups import TopUps
from shale.units import ZERO, Address, AttoFil, LeaseId

DAY = 24 * 3600


@pytest.fixture
def shop(counter: Counter) -> Shop:
    return open_shop(counter)


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


async def test_a_demanded_close_comes_first_though_the_lease_runs_on(shop: Shop) -> None:
    held = await shop.pay(await shop.lease(), 20)
    await shop.settle()
    stranger = MemoryChain(shop.counter.world, shop.client)
    end = End(held.lease.order, ZERO, 0, EndReason.CLIENT_ENDED, shop.counter.clock.now())
    await stranger.end_lease(end, shop.counter.desk.signing.sign(end, shop.counter.client))
    await shop.counter.clock.advance(DAY + 1)
    await stranger.demand_close(held.id)
    other = await shop.ended(7)
    held = await shop.pay(held, 33)
    batches = await shop.settle()
    assert batches[0].batch.leases[:1] == (held.id,)
    assert (await shop.counter.desk.store.lease(held.id)).lease.state is LeaseState.RUNNING, "its container is there"
    await shop.end(held)
    await shop.settle()
    await shop.check_money((held, 33), (other, 7))


async def test_a_lease_that_a_stranger_closed_while_we_were_away_is_settled_in_the_books(shop: Shop) -> None:
    """Down for over a day: the client proves its own close; our tree follows the chain's events."""
    held, other = await shop.pay(await shop.lease(), 20), await shop.pay(await shop.lease(), 9)
    await shop.settle()
    await close_as_client(shop, held)
    await shop.end(held)
    other = await shop.end(await shop.pay(other, 12))
    await shop.settle()
    assert (await shop.counter.desk.store.lease(held.id)).lease.state is LeaseState.SETTLED
    await shop.check_money((held, 20), (other, 12))


async def left_behind(shop: Shop, marks: list[Any] | None = None) -> Held:
    """A lease whose client left by the root of its demand while we went on, with a later voucher unredeemed.

    Our batch with its close was proven, and comes too late. `marks` gets the world as it was before the exit.
    """
    first, held = [await shop.pay(await shop.lease(), 20) for _ in range(2)]
    await shop.settle()
    held = await shop.end(await shop.pay(held, 33))
    await shop.end(first)
    client, counter, left = MemoryChain(shop.counter.world, shop.client), shop.counter, list[bool]()
    for lease in (first, held):
        end = End(lease.lease.order, ZERO, 0, EndReason.CLIENT_ENDED, counter.clock.now())
        await client.end_lease(end, counter.desk.signing.sign(end, counter.client))
    await counter.clock.advance(DAY + 1)
    await client.demand_close(first.id)
    await client.demand_close(held.id)

    class Raced(MemoryChain):
        async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
            if [operation.leaf.lease for operation in operations] == [held.id] and not left:
                left.append(True)
                if marks is not None:
                    marks.append(shop.counter.world.mark())
                await exit_as_client(shop, held)
            return await super().settle(provider, operations, proof)

    shop.sizes = (1,)
    batches = await shop.settle(Raced(shop.counter.world, shop.operator))
    assert [batch.batch.leases for batch in batches] == [(first.id,)]
    assert left
    shop.sizes = SIZES
    await shop.check_money((first, 20), (held, 20))
    return held


async def exit_as_client(shop: Shop, held: Held) -> None:
    """What `shale exit` does once the close is demanded, wherever the root is by now."""
    chain = MemoryChain(shop.counter.world, shop.client)
    root = await chain.demanded_root(held.id)
    assert root is not None
    assert root != (await chain.shard(shop.operator)).root
    leaves = await rebuild_at(chain, shop.counter.desk.prover, shop.operator, root)
    leaf = next(leaf for leaf in leaves if leaf.lease == held.id)
    close = [Operation(leaf, False, True, None, EndReason.CLIENT_ENDED)]
    proof = await shop.counter.desk.prover.prove(await shop.domain(), 1, leaf.index, leaves, close)
    await chain.settle(shop.operator, close, proof)


async def test_a_lease_whose_client_left_is_settled_with_what_the_chain_says_and_its_leaf_stays(shop: Shop) -> None:
    """The run that had planned with it plans anew; later ones go around the leaf, whatever their size."""
    held = await left_behind(shop)
    [dead] = [leaf for leaf in await shop.books.tree() if leaf.lease == held.id]
    assert (dead.amount, dead.seconds) == (held.order.price.over(20), 20)
    assert await shop.books.forgone() == {held.id: held.order.price.over(13)}
    states = [kept.state for kept in await shop.books.kept(*BatchState)]
    assert states.count(BatchState.REFUSED) == 1
    for sizes in ((1,), (8,), SIZES):
        shop.sizes = sizes
        others = [await shop.pay(await shop.lease(), 5) for _ in range(3)]
        await shop.settle()
        assert len({leaf.index for leaf in await shop.books.tree()}) == 4
        for other in others:
            await shop.end(other)
        await shop.settle()
        await shop.check_tree()
        assert await shop.books.tree() == [dead]
    assert (await shop.counter.desk.store.lease(held.id)).lease.state is LeaseState.SETTLED


async def test_books_that_lost_their_tree_get_the_leaf_of_a_lease_whose_client_left_back(shop: Shop) -> None:
    held = await left_behind(shop)
    await shop.books.replace_tree([])
    await shop.end(await shop.pay(await shop.lease(), 4))
    [batch] = await shop.settle()
    assert len(batch.batch.leases) == 1
    assert [leaf.lease for leaf in await shop.books.tree()] == [held.id]
    await shop.check_tree()


async def test_an_exit_that_a_reorganisation_takes_back_is_claimed_again(shop: Shop) -> None:
    world = shop.counter.world
    world.depth = 10
    marks: list[Any] = []
    held = await left_behind(shop, marks)
    assert [lease for lease, _ in await shop.books.uncertain()] == [held.id]
    world.rewind(marks[0])
    [batch] = await shop.settle()
    assert batch.batch.leases == (held.id,)
    assert await shop.books.forgone() == {}
    assert (await shop.counter.desk.store.lease(held.id)).lease.state is LeaseState.SETTLED
    assert world.leases[held.id].paid == held.order.price.over(33)
    await shop.check_tree()


async def test_books_that_lost_their_tree_take_the_chains(shop: Shop) -> None:
    held = [await shop.pay(await shop.lease(), 20 + n) for n in range(3)]
    await shop.settle()
    await shop.books.replace_tree([])
    for one in held:
        await shop.end(one)
    await shop.settle()
    await shop.check_money(*((one, 20 + n) for n, one in enumerate(held)))


async def test_events_that_do_not_lead_to_the_root_stop_the_settlement(shop: Shop) -> None:
    await shop.pay(await shop.lease(), 20)
    await shop.settle()
    await shop.books.replace_tree([])
    await shop.ended(5)

    class Hostile(MemoryChain):
        async def shard_history(self, provider: Address, root: str | None = None) -> ShardHistory:
            history = await super().shard_history(provider, root)
            return replace(history, events=tuple(e for e in history.events if getattr(e, "amount", ZERO) == ZERO))

    with pytest.raises(Refused, match="ledger"):
        await shop.settle(Hostile(shop.counter.world, shop.operator))
    assert await shop.books.tree() == [], "nothing was taken over"


async def test_an_acceptance_that_its_client_anchored_alone_is_refunded(shop: Shop) -> None:
    counter, signing = shop.counter, shop.counter.desk.signing
    order = counter.order()
    accepted = await counter.hand_in(order)
    confirmation = counter.confirmation(order, accepted.acceptance)
    await counter.desk.chain.open_lease(
        order,
        signing.sign(order, counter.client),
        accepted.acceptance,
        accepted.signature,
        confirmation,
        signing.sign(confirmation, counter.client),
    )
    honest = await shop.ended(5)
    [batch] = await shop.settle()
    assert batch.batch.leases == (honest.id,)
    await shop.check_money((honest, 5))


async def test_an_acceptance_is_forgotten_once_the_chain_cannot_take_it(shop: Shop) -> None:
    store = shop.counter.desk.store
    await shop.counter.hand_in(shop.counter.order())
    await shop.settle()
    assert len(await store.leases(LeaseState.ACCEPTED)) == 1
    await shop.counter.clock.advance(ACCEPTANCE_SECONDS + 3601)
    await shop.settle()
    assert await store.leases() == []


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


async def test_a_root_that_others_moved_is_planned_on_anew(shop: Shop) -> None:
    """The client of an overdue lease closes it just before our batch lands."""
    overdue, held = await shop.pay(await shop.lease(), 20), await shop.ended(6)
    await shop.settle()
    late = await shop.ended(9)
    moved: list[bool] = []

    class Raced(MemoryChain):
        async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
            if not moved:
                moved.append(True)
                await close_as_client(shop, overdue)
            return await super().settle(provider, operations, proof)

    [batch] = await shop.settle(Raced(shop.counter.world, shop.operator), redeem=False)
    assert batch.batch.leases == (late.id,)
    await shop.end(overdue)
    await shop.settle()
    await shop.check_money((overdue, 20), (held, 6), (late, 9))


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


async def test_what_a_stranger_closed_and_a_reorganisation_opened_is_settled_after_all(shop: Shop) -> None:
    world = shop.counter.world
    world.depth = 10
    held = await shop.pay(await shop.lease(), 20)
    await shop.settle()
    mark = world.mark()
    await close_as_client(shop, held)
    await shop.end(held)
    await shop.settle()
    assert (await shop.counter.desk.store.lease(held.id)).lease.state is LeaseState.SETTLED
    world.rewind(mark)
    await shop.settle()
    await shop.check_money((held, 20))


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


async def close_as_client(shop: Shop, held: Any) -> None:
    """What `shale exit` does: the client ends on chain, waits for the window, and proves the close itself."""
    counter = shop.counter
    chain = MemoryChain(counter.world, shop.client)
    end = End(held.lease.order, ZERO, 0, EndReason.CLIENT_ENDED, counter.clock.now())
    await chain.end_lease(end, counter.desk.signing.sign(end, counter.client))
    await counter.clock.advance(DAY + 1)
    leaves = await shop.books.tree()
    leaf = next(leaf for leaf in leaves if leaf.lease == held.id)
    close = [Operation(leaf, False, True, None, EndReason.CLIENT_ENDED)]
    proof = await counter.desk.prover.prove(await shop.domain(), 1, leaf.index, leaves, close)
    await chain.settle(shop.operator, close, proof)
    record = await chain.lease(held.id)
    assert record is not None
    assert record.state is OnLedger.CLOSED
