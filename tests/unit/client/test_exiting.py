"""Exiting: a client gets its deposit back whatever its provider does, and not a moment before it may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from shale.chain.chain import Heads, OnLedger, Receipt
from shale.chain.memory import MemoryChain
from shale.client.exiting import WINDOW_SECONDS, Exited, Exiting, Way
from shale.client.rental import Rental
from shale.errors import Refused, Unavailable
from shale.ledger.rebuild import rebuild
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End
from shale.payments.batch import Leaf, Operation
from shale.payments.history import ShardHistory
from shale.proofs.memory import MemoryProver
from shale.units import Address, AttoFil, LeaseId


@dataclass
class Scene:
    """A lease at a provider that has redeemed what it wanted, and says nothing any more."""

    bench: Any
    rental: Rental
    prover: MemoryProver = field(default_factory=MemoryProver)
    tree: list[Leaf] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)

    @property
    def provider(self) -> MemoryChain:
        return MemoryChain(self.bench.world, self.rental.order.provider)

    async def domain(self) -> str:
        places = self.bench.world.deployment
        return await self.prover.domain(places.chain_id, places.ledger)

    async def settle(self, *operations: Operation) -> None:
        """As the provider: prove a batch on its tree and post it."""
        proof = await self.prover.prove(await self.domain(), 8, 0, self.tree, operations)
        await self.provider.settle(self.rental.order.provider, operations, proof)
        gone = {operation.leaf.index for operation in operations}
        after = [leaf for operation in operations if (leaf := operation.after()) is not None]
        self.tree = [leaf for leaf in self.tree if leaf.index not in gone] + after

    async def redeem(self, seconds: int, index: int = 3) -> AttoFil:
        """The provider's leaf for the lease is at `seconds` paid."""
        secret = self.bench.store.pay_secret(self.rental.name)
        amount = self.rental.price.over(seconds)
        voucher = await self.prover.sign(secret, await self.domain(), self.rental.id, amount, seconds)
        leaf = next((leaf for leaf in self.tree if leaf.lease == self.rental.id), None)
        fresh = Leaf(index, self.rental.id, self.rental.order.pay_key)
        await self.settle(Operation(leaf or fresh, leaf is None, False, voucher))
        return amount

    async def exit(self, chain: MemoryChain | None = None, *, wait: bool = False) -> Exited:
        bench = self.bench
        exiting = Exiting(chain or bench.chain, self.prover, bench.account, bench.signing, bench.store, bench.clock)
        self.rental = bench.store.by_id(self.rental.id)
        return await exiting.exit(self.rental, lambda name, state, _: self.told.append((name, state)), wait=wait)

    async def money(self) -> AttoFil:
        return await self.bench.chain.ledger_balance(self.bench.me)


@pytest.fixture
async def scene(bench: Any) -> Scene:
    rental = await bench.lease()
    await bench.anchor(rental)
    return Scene(bench, rental)


async def end(scene: Scene) -> None:
    scene.bench.store.end(scene.rental.id, EndReason.CLIENT_ENDED, scene.bench.clock.now())


async def test_a_lease_that_runs_is_not_left(scene: Scene) -> None:
    with pytest.raises(Refused, match="shale end"):
        await scene.exit()


async def test_the_window_begins_with_our_end_and_is_told(scene: Scene) -> None:
    await end(scene)
    waiting = await scene.exit()
    assert (waiting.way, waiting.seconds_left) == (Way.WAITING, WINDOW_SECONDS)
    assert waiting.can_act_at == scene.bench.clock.now() + WINDOW_SECONDS
    record = await scene.bench.chain.lease(scene.rental.id)
    assert record.end_reason is EndReason.CLIENT_ENDED
    await scene.bench.clock.advance(3600)
    assert (await scene.exit()).seconds_left == WINDOW_SECONDS - 3600, "a second End does not begin it again"


class Resuming(MemoryChain):
    """A sender that first lands the End that a killed command left with it: the second one is too late."""

    async def end_lease(self, end: End, signature: str) -> Receipt:
        await super().end_lease(end, signature)
        return await super().end_lease(end, signature)


async def test_an_earlier_end_of_ours_that_lands_first_begins_the_window(scene: Scene) -> None:
    await end(scene)
    waiting = await scene.exit(Resuming(scene.bench.world, scene.bench.me))
    assert (waiting.way, waiting.seconds_left) == (Way.WAITING, WINDOW_SECONDS)


async def test_a_close_that_comes_before_our_end_is_told(scene: Scene) -> None:
    class Closing(MemoryChain):
        async def end_lease(self, end: End, signature: str) -> Receipt:
            await scene.provider.refund([scene.rental.id])
            return await super().end_lease(end, signature)

    await end(scene)
    done = await scene.exit(Closing(scene.bench.world, scene.bench.me))
    assert (done.way, done.back) == (Way.CLOSED, scene.rental.collateral)


async def test_an_end_that_the_chain_refuses_is_told(scene: Scene) -> None:
    class Refusing(MemoryChain):
        async def end_lease(self, end: End, signature: str) -> Receipt:
            raise Refused("0 is not an end reason", "give 1 to 9")

    await end(scene)
    with pytest.raises(Refused, match="end reason"):
        await scene.exit(Refusing(scene.bench.world, scene.bench.me))


async def test_what_was_never_redeemed_is_refunded_without_a_proof(scene: Scene) -> None:
    await end(scene)
    await scene.exit()
    await scene.bench.clock.advance(WINDOW_SECONDS)
    done = await scene.exit()
    assert (done.way, done.back, done.proof) == (Way.REFUND, scene.rental.collateral, None)
    assert await scene.money() == scene.rental.collateral
    assert done.rental.state is LeaseState.SETTLED


async def test_the_rest_comes_back_by_a_proof_of_the_clients_own(scene: Scene) -> None:
    paid = await scene.redeem(50)
    await end(scene)
    await scene.exit()
    await scene.bench.clock.advance(WINDOW_SECONDS)
    done = await scene.exit()
    assert (done.way, done.leaves) == (Way.PROOF, 1)
    assert done.proof is not None
    assert (done.proof.size, done.proof.old_root) == (1, await scene.bench.chain.demanded_root(scene.rental.id))
    assert ("demand", "done") in scene.told
    assert (await scene.bench.chain.shard_history(scene.rental.order.provider)).exited == set(), "the root stood still"
    assert done.back == scene.rental.collateral - paid
    assert await scene.money() == done.back
    assert (done.rental.settled_paid, done.rental.settled_seconds) == (paid, 50)


async def test_waiting_for_the_window_closes_the_lease_when_it_has_passed(scene: Scene) -> None:
    await end(scene)
    task = asyncio.create_task(scene.exit(wait=True))
    await scene.bench.clock.advance(WINDOW_SECONDS - 60)
    assert not task.done()
    await scene.bench.clock.advance(120)
    assert (await task).way is Way.REFUND


async def test_a_node_that_is_away_in_the_window_is_waited_for(scene: Scene) -> None:
    away = [False]

    class Away(MemoryChain):
        async def heads(self) -> Heads:
            if away[0]:
                raise Unavailable("the node does not answer", "try again")
            return await super().heads()

    await end(scene)
    task = asyncio.create_task(scene.exit(Away(scene.bench.world, scene.bench.me), wait=True))
    await scene.bench.clock.advance(3600)
    away[0] = True
    await scene.bench.clock.advance(WINDOW_SECONDS)
    assert not task.done()
    assert ("window", "started") in scene.told
    away[0] = False
    await scene.bench.clock.advance(60)
    assert (await task).way is Way.REFUND


async def test_a_provider_that_closes_it_after_all_is_told(scene: Scene) -> None:
    paid = await scene.redeem(50)
    await end(scene)
    await scene.settle(Operation(scene.tree[0], False, True, None))
    done = await scene.exit()
    assert (done.way, done.back) == (Way.CLOSED, scene.rental.collateral - paid)


async def test_a_try_after_our_own_proof_does_not_say_that_the_provider_closed_it(scene: Scene) -> None:
    paid, _ = await overdue(scene)
    assert (await scene.exit()).way is Way.PROOF
    again = await scene.exit()
    assert (again.way.value, again.back) == ("closed", scene.rental.collateral - paid)


async def test_a_lease_that_never_got_to_the_chain_has_nothing_to_get_back(bench: Any) -> None:
    rental = await bench.lease()
    bench.store.end(rental.id, EndReason.CLIENT_ENDED, bench.clock.now())
    assert (await Scene(bench, rental).exit()).way is Way.NOTHING


STEPS = ("lease", "demanded_root", "demand_close", "shard_history", "settle")
"""What the client asks of the chain, or sends there, once the window is over."""


class Watched(MemoryChain):
    """The client's chain. Before each of its steps something happens: others act in the blocks between."""

    def __init__(self, scene: Scene, before: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(scene.bench.world, scene.bench.me)
        self._before = before

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in STEPS:
            return found

        async def step(*given: Any) -> Any:
            await super(Watched, self).__getattribute__("_before")(name)
            return await found(*given)

        return step


async def overdue(scene: Scene, *others: str, ended: str = "") -> tuple[AttoFil, list[Leaf]]:
    """The lease has ended and its window is over; others stand in the tree beside it, and run on but for `ended`."""
    bench = scene.bench
    leaves = []
    for index, name in enumerate(others, 5):
        other = await bench.lease(name)
        await bench.anchor(other)
        leaves.append(Leaf(index, other.id, other.order.pay_key))
        await scene.settle(Operation(leaves[-1], True, False, None))
        if name == ended:
            final = End(other.order_hash, AttoFil(0), 0, EndReason.UNPAID, bench.clock.now())
            await bench.chain.end_lease(final, bench.signing.sign(final, bench.door.account))
    paid = await scene.redeem(50)
    await end(scene)
    await scene.exit()
    await bench.clock.advance(WINDOW_SECONDS)
    return paid, leaves


@dataclass
class Runner:
    """A provider that moves its root whenever it can, and whose own lease's close is demanded just before ours."""

    scene: Scene
    own: str
    purse: str
    moves: int = 0

    async def before(self, step: str) -> None:
        provider, bench = self.scene.provider, self.scene.bench
        own, purse = bench.store.rental(self.own), bench.store.rental(self.purse)
        if step == "demand_close":
            await provider.demand_close(own.id)
            return
        self.moves += 1
        leaves = {leaf.lease: leaf for leaf in self.scene.tree}
        amount = purse.price.over(self.moves)
        secret = bench.store.pay_secret(self.purse)
        voucher = await self.scene.prover.sign(secret, await self.scene.domain(), purse.id, amount, self.moves)
        batch = [Operation(leaves[purse.id], False, False, voucher)]
        if (await provider.shard(own.order.provider)).demanded == own.id:
            batch.append(Operation(leaves[own.id], False, True, None))
        await self.scene.settle(*sorted(batch, key=lambda operation: operation.leaf.index))


async def test_a_provider_that_moves_its_root_at_every_step_does_not_outrun_us(scene: Scene) -> None:
    """It has a lease of its own demanded first, so that ours binds it to nothing, and settles in every block."""
    bench, provider = scene.bench, scene.rental.order.provider
    paid, _ = await overdue(scene, "own", "purse", ended="own")
    runner = Runner(scene, "own", "purse")
    done = await scene.exit(Watched(scene, runner.before))
    assert done.way is Way.PROOF
    assert done.back == scene.rental.collateral - paid
    assert runner.moves > 4
    assert done.proof is not None
    history = await bench.chain.shard_history(provider)
    assert [batch.old_root for batch in history.batches].count(done.proof.old_root) == 1, "it went on from there"
    assert history.batches[-1].old_root != done.proof.old_root, "and further"
    assert history.exited == {scene.rental.id}

    rebuilt = await rebuild(bench.chain, scene.prover, provider)
    assert sorted(scene.tree, key=lambda leaf: leaf.index) == list(rebuilt.leaves), "our leaf lies there"
    await runner.before("later")
    dead = next(leaf for leaf in scene.tree if leaf.lease == scene.rental.id)
    with pytest.raises(Refused, match="closed"):
        await scene.settle(Operation(dead, False, True, None))


@pytest.mark.parametrize("at", STEPS)
async def test_a_provider_that_closes_first_after_all_is_told_at_any_step(scene: Scene, at: str) -> None:
    paid, _ = await overdue(scene)

    async def close(step: str) -> None:
        if step == at and scene.tree:
            await scene.settle(Operation(scene.tree[0], False, True, None))

    done = await scene.exit(Watched(scene, close))
    assert (done.way, done.back) == (Way.CLOSED, scene.rental.collateral - paid)
    assert done.rental.state is LeaseState.SETTLED
    assert await scene.money() == done.back


async def test_a_close_that_somebody_else_demanded_is_proven_on_the_root_of_then(scene: Scene) -> None:
    paid, [other] = await overdue(scene, "other")
    stranger = MemoryChain(scene.bench.world, scene.provider.account)
    await stranger.demand_close(scene.rental.id)
    done = await scene.exit()
    assert ("demand", "started") not in scene.told
    assert (done.way, done.leaves, done.back) == (Way.PROOF, 2, scene.rental.collateral - paid)
    assert other in scene.tree


async def test_another_demand_that_waits_does_not_hold_us_up(scene: Scene) -> None:
    paid, _ = await overdue(scene, "other")
    bench = scene.bench
    other = bench.store.rental("other")
    await bench.clock.advance(other.max_seconds)
    await scene.provider.demand_close(other.id)
    done = await scene.exit()
    assert (done.way, done.back) == (Way.PROOF, scene.rental.collateral - paid)
    assert (await bench.chain.shard(other.order.provider)).demanded == other.id


async def test_a_demand_that_a_reorganisation_moves_is_proven_anew(scene: Scene) -> None:
    """The demand lands behind a batch of the provider's that was not there before: its root is another one."""
    paid, [other] = await overdue(scene, "other")
    world, roots = scene.bench.world, []
    mark = world.mark()

    async def reorganise(step: str) -> None:
        if step == "settle" and not roots:
            roots.append(await scene.bench.chain.demanded_root(scene.rental.id))
            world.rewind(mark)
            await scene.settle(Operation(other, False, True, None))
            await scene.bench.chain.demand_close(scene.rental.id)

    done = await scene.exit(Watched(scene, reorganise))
    assert (done.way, done.back) == (Way.PROOF, scene.rental.collateral - paid)
    assert done.proof is not None
    assert done.proof.old_root not in roots


async def test_a_node_that_has_not_seen_the_demand_yet_is_told(scene: Scene) -> None:
    await overdue(scene)

    class Late(MemoryChain):
        async def demanded_root(self, lease: LeaseId) -> str | None:
            return None

    with pytest.raises(Unavailable, match="demand"):
        await scene.exit(Late(scene.bench.world, scene.bench.me))


async def test_a_node_that_invents_events_gets_no_proof_posted(scene: Scene) -> None:
    await scene.redeem(50)
    await end(scene)
    await scene.exit()
    await scene.bench.clock.advance(WINDOW_SECONDS)

    class Lying(MemoryChain):
        async def shard_history(self, provider: Address, root: str | None = None) -> ShardHistory:
            history = await super().shard_history(provider, root)
            return replace(history, events=history.events[:1])

    with pytest.raises(Refused, match="ledger"):
        await scene.exit(Lying(scene.bench.world, scene.bench.me))
    record = await scene.bench.chain.lease(scene.rental.id)
    assert record.state is OnLedger.INSERTED
