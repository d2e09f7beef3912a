"""Anchors on a real chain: what a reorganisation takes out goes in again, or its lease ends."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from tests.devnets import open_own_bench
from tests.places import Door

from shale.chain.bench import Bench, Lease
from shale.chain.chain import Receipt
from shale.chain.rpc import Rpc
from shale.clock import SystemClock
from shale.containers.memory import MemoryEngine
from shale.datasets.memory import MemoryVolumes
from shale.market.lease import EndReason, LeaseState
from shale.provider.anchoring import Anchoring
from shale.provider.config import ProviderConfig
from shale.provider.lease_keys import LeaseKeys
from shale.provider.lease_volumes import LeaseVolumes
from shale.provider.ledger_books import LedgerBooks
from shale.provider.lifecycle import Lifecycle, LifecycleParts
from shale.provider.metering import MeterParts
from shale.provider.store import Store, sqlite_url
from shale.tunnel.meters import MeterSockets


@dataclass
class Shop:
    bench: Bench
    rpc: Rpc
    store: Store
    lifecycle: Lifecycle

    async def lease(self) -> Lease:
        """A lease that runs in the books; its deposit is in the client's balance."""
        lease, now = await self.bench.agree(), await self.bench.now()
        await self.bench.client.deposit(lease.order.collateral)
        await self.store.add_accepted(
            lease.order, lease.order_signature, "", lease.acceptance, lease.acceptance_signature, now
        )
        await self.store.confirm(lease.id, lease.confirmation, lease.confirmation_signature)
        await self.store.running(lease.id, now)
        return lease

    async def anchor(self, lease: Lease) -> Receipt:
        receipt = await self.bench.provider.open_leases([lease.opening])
        await self.store.set_anchor(lease.id, receipt.tx)
        return receipt

    async def reorganise(self, since: Receipt) -> None:
        """Every block from this transaction's on is another one, without transactions."""
        await self.rpc.call("anvil_reorg", await self.rpc.number("eth_blockNumber") - since.block + 1, [])
        await self.rpc.call("anvil_dropAllTransactions")
        await self.rpc.call("evm_mine")
        assert await self.rpc.call("eth_getTransactionReceipt", since.tx) is None

    async def lost(self, lease: Lease) -> None:
        """The daemon has seen that the chain has no record of the lease; return when it has done what it does."""
        await self.lifecycle.lost(lease.id)
        await wait_for(self.lifecycle)


async def wait_for(lifecycle: Lifecycle) -> None:
    while lifecycle._background:
        await asyncio.wait(lifecycle._background)
        await asyncio.sleep(0)  # a task that is done leaves the set a moment later


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_own_bench(tmp_path, finality=40) as (bench, rpc, _), AsyncExitStack() as stack:
        store = await Store.open(sqlite_url(tmp_path / "provider.db"))
        stack.push_async_callback(store.close)
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shale-test-")))
        engine, unused = MemoryEngine(), cast("Any", None)
        parts = LifecycleParts(
            config=ProviderConfig(),
            store=store,
            shelf=unused,
            engine=engine,
            volumes=LeaseVolumes(MemoryVolumes(), engine, "shale"),
            chain=bench.provider,
            anchoring=Anchoring(bench.provider, LedgerBooks(store), SystemClock()),
            gateway=cast("Any", Door()),
            sockets=MeterSockets(short / "meters", os.getgid()),
            meter=MeterParts(store, engine, unused, SystemClock(), unused, bench.signing, unused, unused),
            keys=LeaseKeys(tmp_path),
            guest=tmp_path,
            gpu_ids=(),
        )
        yield Shop(bench, rpc, store, Lifecycle(parts))


async def test_the_next_lease_does_not_take_the_place_of_one_that_a_fork_took_out(shop: Shop) -> None:
    one, two = await shop.lease(), await shop.lease()
    await shop.reorganise(await shop.anchor(one))
    await shop.anchor(two)
    for lease in (one, two):
        assert await shop.bench.reader.lease(lease.id) is not None


async def test_a_lost_anchor_is_made_again_and_the_lease_runs_on(shop: Shop) -> None:
    lease = await shop.lease()
    await shop.reorganise(await shop.anchor(lease))
    assert await shop.bench.reader.lease(lease.id) is None
    await shop.lost(lease)
    assert await shop.bench.reader.lease(lease.id) is not None
    held = await shop.store.lease(lease.id)
    assert held.lease.state is LeaseState.RUNNING
    assert held.anchor_tx


async def test_a_lease_whose_client_took_its_deposit_back_after_a_fork_ends(shop: Shop) -> None:
    lease = await shop.lease()
    await shop.reorganise(await shop.anchor(lease))
    await shop.bench.client.withdraw(lease.order.collateral)
    await shop.lost(lease)
    assert await shop.bench.reader.lease(lease.id) is None
    assert (await shop.store.lease(lease.id)).lease.end_reason is EndReason.ANCHOR_FAILED
