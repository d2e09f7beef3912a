"""Exiting: a client gets its deposit back whatever its provider does, and not a moment before it may."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from shale.chain.chain import OnLedger, Receipt
from shale.chain.memory import MemoryChain
from shale.client.exiting import WINDOW_SECONDS, Exited, Exiting, Way
from shale.client.rental import Rental
from shale.errors import Refused
from shale.market.lease import EndReason, LeaseState
from shale.payments.batch import Leaf, Operation, Proof
from shale.payments.history import ShardHistory
from shale.proofs.memory import MemoryProver
from shale.units import Address, AttoFil


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
    assert (done.way, done.leaves, done.demanded) == (Way.PROOF, 1, False)
    assert done.proof is not None
    assert done.proof.size == 1
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


async def test_a_provider_that_closes_it_after_all_is_told(scene: Scene) -> None:
    paid = await scene.redeem(50)
    await end(scene)
    await scene.settle(Operation(scene.tree[0], False, True, None))
    done = await scene.exit()
    assert (done.way, done.back) == (Way.PROVIDER, scene.rental.collateral - paid)


async def test_a_lease_that_never_got_to_the_chain_has_nothing_to_get_back(bench: Any) -> None:
    rental = await bench.lease()
    bench.store.end(rental.id, EndReason.CLIENT_ENDED, bench.clock.now())
    assert (await Scene(bench, rental).exit()).way is Way.NOTHING


class Outrun(MemoryChain):
    """A provider that moves its root each time the client is about to post, until it may not any more."""

    scene: Scene
    moves = 1

    async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
        if self.moves:
            self.moves -= 1
            await move_root(self.scene)
        return await super().settle(provider, operations, proof)


async def move_root(scene: Scene) -> None:
    """The provider closes another lease of the client's: the root moves."""
    spare = next(leaf for leaf in scene.tree if leaf.lease != scene.rental.id)
    await scene.settle(Operation(spare, False, True, None))


async def test_a_provider_that_moves_its_root_is_made_to_close(scene: Scene) -> None:
    """Our proof goes stale once; the close is demanded, and the next proof lands."""
    bench = scene.bench
    spare = await bench.lease("two")
    await bench.anchor(spare)
    paid = await scene.redeem(50)
    await scene.settle(Operation(Leaf(5, spare.id, spare.order.pay_key), True, False, None))
    await end(scene)
    await scene.exit()
    await bench.clock.advance(WINDOW_SECONDS)
    chain = Outrun(bench.world, bench.me)
    chain.scene = scene
    done = await scene.exit(chain)
    assert (done.way, done.demanded) == (Way.PROOF, True)
    assert done.back == scene.rental.collateral - paid
    assert ("demand", "done") in scene.told


async def test_a_node_that_invents_events_gets_no_proof_posted(scene: Scene) -> None:
    await scene.redeem(50)
    await end(scene)
    await scene.exit()
    await scene.bench.clock.advance(WINDOW_SECONDS)

    class Lying(MemoryChain):
        async def shard_history(self, provider: Address) -> ShardHistory:
            history = await super().shard_history(provider)
            return replace(history, events=history.events[:1])

    with pytest.raises(Refused, match="ledger"):
        await scene.exit(Lying(scene.bench.world, scene.bench.me))
    record = await scene.bench.chain.lease(scene.rental.id)
    assert record.state is OnLedger.INSERTED
