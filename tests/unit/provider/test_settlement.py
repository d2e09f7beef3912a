"""Settlement: every deposit in the queue finds its lease, and a crash between proof and books loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.desks import FIL, Counter

from shale.chain.chain import Chain, Receipt
from shale.chain.memory import MemoryChain
from shale.errors import Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.payments.batch import Operation, Proof
from shale.provider.desk import ACCEPTANCE_SECONDS
from shale.provider.settlement import Settlement
from shale.provider.store import Held
from shale.units import Address, AttoFil, checked_address


async def settlement_of(counter: Counter, chain: Chain | None = None) -> Settlement:
    desk, deployment = counter.desk, counter.world.deployment
    domain = await desk.prover.domain(deployment.chain_id, deployment.ledger)
    operator = checked_address(counter.operator.address)
    return Settlement(
        desk.store, chain or desk.chain, desk.prover, counter.clock, counter.operator, desk.signing, operator, domain
    )


async def ended_lease(counter: Counter, seconds: int = 0) -> Held:
    """A lease that was confirmed, anchored, paid for `seconds`, and ended by its client."""
    desk, prover, deployment = counter.desk, counter.desk.prover, counter.world.deployment
    secret = await prover.keygen()
    held = await counter.lease(counter.order(pay_key=secret.public))
    await anchor(counter, held)
    await desk.store.running(held.id, counter.clock.now())
    if seconds:
        domain = await prover.domain(deployment.chain_id, deployment.ledger)
        voucher = await prover.sign(secret, domain, held.id, held.order.price.over(seconds), seconds)
        await desk.store.store_voucher(voucher, float(seconds))
    return await desk.store.end(held.id, EndReason.CLIENT_ENDED, counter.clock.now())


async def anchor(counter: Counter, held: Held) -> None:
    assert held.confirmation is not None
    await counter.desk.chain.open_lease(
        held.order,
        held.order_signature,
        held.acceptance,
        held.acceptance_signature,
        held.confirmation,
        held.confirmation_signature,
    )


async def test_an_ended_lease_is_paid_and_refunded_to_the_attofil(counter: Counter) -> None:
    held = await ended_lease(counter, seconds=50)
    [batch] = await (await settlement_of(counter)).run()
    operator, client = checked_address(counter.operator.address), checked_address(counter.client.address)
    assert batch.earned == held.order.price.over(50)
    assert batch.earned + batch.refunded == held.order.collateral
    assert counter.world.wallets[operator] == batch.earned
    assert await counter.desk.chain.ledger_balance(client) == FIL - batch.earned
    assert (await counter.desk.store.lease(held.id)).lease.state is LeaseState.SETTLED


async def test_settling_again_does_nothing(counter: Counter) -> None:
    await ended_lease(counter, seconds=5)
    settlement = await settlement_of(counter)
    await settlement.run()
    assert await settlement.run() == []


async def test_an_acceptance_that_its_client_anchored_alone_is_refunded_and_blocks_nobody(counter: Counter) -> None:
    order = counter.order()
    accepted = await counter.hand_in(order)
    confirmation = counter.confirmation(order, accepted.acceptance)
    signing = counter.desk.signing
    await counter.desk.chain.open_lease(
        order,
        signing.sign(order, counter.client),
        accepted.acceptance,
        accepted.signature,
        confirmation,
        signing.sign(confirmation, counter.client),
    )
    honest = await ended_lease(counter, seconds=5)
    batches = await (await settlement_of(counter)).run()
    assert sum(batch.operations for batch in batches) == 2
    assert sum((batch.earned.value for batch in batches), 0) == honest.order.price.over(5).value
    client = checked_address(counter.client.address)
    assert await counter.desk.chain.ledger_balance(client) == FIL - honest.order.price.over(5)


async def test_an_acceptance_is_forgotten_once_the_chain_cannot_take_it(counter: Counter) -> None:
    await counter.hand_in(counter.order())
    settlement = await settlement_of(counter)
    await settlement.run()
    assert len(await counter.desk.store.leases(LeaseState.ACCEPTED)) == 1
    await counter.clock.advance(ACCEPTANCE_SECONDS + 3601)
    await settlement.run()
    assert await counter.desk.store.leases() == []


class Lossy(MemoryChain):
    """A chain whose node takes a batch and then doesn't answer, or doesn't even take it."""

    def __init__(self, inner: MemoryChain, takes: bool) -> None:
        super().__init__(inner._world, inner.account)
        self.takes = takes

    async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
        if self.takes:
            await super().settle(provider, operations, proof)
        raise Unavailable("the node went away")


@pytest.mark.parametrize("takes", [True, False])
async def test_a_batch_whose_answer_was_lost_is_neither_lost_nor_posted_twice(counter: Counter, takes: bool) -> None:
    held = await ended_lease(counter, seconds=7)
    chain: Any = counter.desk.chain
    with pytest.raises(Unavailable):
        await (await settlement_of(counter, Lossy(chain, takes))).run()
    batches = await (await settlement_of(counter)).run()
    assert len(batches) == (0 if takes else 1)
    assert (await counter.desk.store.lease(held.id)).lease.state is LeaseState.SETTLED
    assert counter.world.wallets[checked_address(counter.operator.address)] == held.order.price.over(7)


async def test_a_lease_that_the_chain_never_had_is_settled_with_nothing(counter: Counter) -> None:
    held = await counter.lease(counter.order())
    await counter.desk.store.end(held.id, EndReason.ANCHOR_FAILED, counter.clock.now())
    await counter.clock.advance(ACCEPTANCE_SECONDS + 3601)
    assert await (await settlement_of(counter)).run() == []
    assert (await counter.desk.store.lease(held.id)).lease.state is LeaseState.SETTLED
    assert await counter.desk.chain.ledger_balance(checked_address(counter.client.address)) == FIL
    assert AttoFil(0) == (await counter.desk.chain.shard(checked_address(counter.operator.address))).owed
