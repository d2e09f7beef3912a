"""Settlement beside others, who close, leave, anchor, move the root or leave events out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.settlements import Shop

from shale.chain.chain import OnLedger, Receipt
from shale.chain.memory import MemoryChain
from shale.errors import Refused
from shale.ledger.rebuild import rebuild_at
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End
from shale.payments.batch import SIZES, Operation, Proof
from shale.payments.history import ShardHistory
from shale.provider.desk import ACCEPTANCE_SECONDS
from shale.provider.ledger_books import BatchState
from shale.provider.store import Held
from shale.units import ZERO, Address

DAY = 24 * 3600


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
