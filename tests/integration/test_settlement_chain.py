"""The settlement on a real chain with the real prover: what a fork takes back lands again, by the same proof."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.devnets import open_own_bench

from shale.chain.bench import Bench, Lease
from shale.chain.fvm import FvmChain
from shale.chain.rpc import Rpc
from shale.clock import SystemClock
from shale.errors import Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.provider.ledger_books import BatchState, LedgerBooks
from shale.provider.settled import Settled
from shale.provider.settlement import Settlement
from shale.provider.store import Store, sqlite_url
from shale.units import AttoFil


@dataclass
class Shop:
    """A provider's books beside a real chain; `restart` gives a settlement that remembers nothing."""

    bench: Bench
    rpc: Rpc
    url: str
    folder: Path
    store: Store
    stack: AsyncExitStack

    async def restart(self) -> Settlement:
        bench, places = self.bench, self.bench.client.deployment
        chain = FvmChain(places, self.url, bench.provider_account, database=self.folder / "chain.db")
        self.stack.push_async_callback(chain.close)
        domain = await bench.prover.domain(places.chain_id, places.ledger)
        prover: Any = bench.prover
        return Settlement(
            self.store, LedgerBooks(self.store), chain, prover, SystemClock(), bench.provider_address, domain
        )

    async def lease(self, seconds: int, *, ended: bool = True) -> Lease:
        """A lease on chain and in the books, paid for so long."""
        lease = await self.bench.agree()
        await self.bench.client.deposit(lease.order.collateral)
        now = await self.bench.now()
        await self.store.add_accepted(
            lease.order, lease.order_signature, "", lease.acceptance, lease.acceptance_signature, now
        )
        await self.store.confirm(lease.id, lease.confirmation, lease.confirmation_signature)
        await lease.open(self.bench.stranger)
        await self.store.set_anchor(lease.id, "0x" + "0a" * 32)
        await self.store.running(lease.id, now)
        await self.store.store_vouchers([(await self.bench.voucher(lease, seconds), float(seconds))])
        if ended:
            await self.store.end(lease.id, EndReason.CLIENT_ENDED, now)
        return lease

    async def states(self) -> list[BatchState]:
        return [kept.state for kept in await LedgerBooks(self.store).kept(*BatchState)]


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_own_bench(tmp_path) as (bench, rpc, url), AsyncExitStack() as stack:
        store = await Store.open(sqlite_url(tmp_path / "provider.db"))
        stack.push_async_callback(store.close)
        yield Shop(bench, rpc, url, tmp_path, store, stack)


async def settled(shop: Shop, settlement: Settlement) -> list[Settled]:
    """Run until nothing waits: a transaction that is on its way is asked for again, as the service does."""
    for _ in range(20):
        try:
            return await settlement.run()
        except Unavailable:
            await shop.rpc.call("evm_mine")
    raise AssertionError("it waits forever")


async def test_a_batch_that_a_fork_takes_back_lands_again_by_the_same_proof(shop: Shop) -> None:
    bench, me = shop.bench, shop.bench.provider_address
    ended, running = await shop.lease(123), await shop.lease(45, ended=False)
    price = ended.order.price
    settlement = await shop.restart()
    mark = await shop.rpc.call("evm_snapshot")
    [first] = await settlement.run()
    assert (first.batch.size, first.kept.proof.earned) == (8, price.over(168))
    proofs = [kept.proof for kept in await LedgerBooks(shop.store).kept(*BatchState)]

    await shop.rpc.call("evm_revert", mark)
    assert (await bench.reader.shard(me)).root == proofs[0].old_root
    settlement = await shop.restart()
    await settled(shop, settlement)
    await settled(shop, settlement)
    assert (await shop.store.lease(ended.id)).lease.state is LeaseState.SETTLED
    assert [kept.proof for kept in await LedgerBooks(shop.store).kept(*BatchState)] == proofs, "nothing proven again"
    assert await shop.states() in ([BatchState.MINED], [BatchState.FINAL])
    record = await bench.reader.lease(ended.id)
    assert record is not None
    assert (record.closed, record.paid) == (True, price.over(123))
    root = (await bench.reader.shard(me)).root
    assert await bench.prover.root(await LedgerBooks(shop.store).tree()) == root == proofs[0].new_root

    await shop.store.end(running.id, EndReason.UNPAID, await bench.now())
    [last] = await settled(shop, settlement)
    assert (last.batch.size, last.kept.proof.earned) == (1, AttoFil(0))
    assert await bench.reader.ledger_balance(bench.client_address) == ended.order.collateral * 2 - price.over(168)


async def test_a_batch_whose_process_was_killed_after_it_was_sent_is_found(shop: Shop) -> None:
    """The transaction is in a block, and nobody was there to hear of it."""
    ended = await shop.lease(50)
    settlement = await shop.restart()
    books: Any = settlement._books
    kept_mined = books.mined

    async def killed(*_: object) -> None:
        raise KeyboardInterrupt

    books.mined = killed
    with pytest.raises(KeyboardInterrupt):
        await settlement.run()
    books.mined = kept_mined
    assert await shop.states() == [BatchState.POSTING]
    assert await settled(shop, await shop.restart()) == []
    assert await shop.states() == [BatchState.MINED]
    [kept] = await LedgerBooks(shop.store).kept(BatchState.MINED)
    assert kept.tx
    assert kept.gas > 0
    record = await shop.bench.reader.lease(ended.id)
    assert record is not None
    assert record.closed
