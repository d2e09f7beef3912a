"""A place: a provider without ssh on a real chain, and a contract that is a client there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from tests.devnets import open_devnet, open_prover
from tests.wallets import make_wallet

from shale.chain.devnet import fund
from shale.chain.fvm import FvmChain
from shale.chain.rpc import Rpc
from shale.clock import SystemClock
from shale.containers.memory import MemoryEngine
from shale.datasets.memory import MemoryVolumes
from shale.market.accounts import Account
from shale.market.order import Order, order_to_json
from shale.market.resources import Resources
from shale.market.signing import SigningDomain
from shale.proofs.kernel import KernelProver
from shale.proofs.prover import PaySecret
from shale.provider.anchoring import Anchoring
from shale.provider.config import ProviderConfig
from shale.provider.desk import Desk
from shale.provider.identity import new_ssh_key
from shale.provider.lease_keys import LeaseKeys
from shale.provider.lease_volumes import LeaseVolumes
from shale.provider.ledger_books import LedgerBooks
from shale.provider.lifecycle import Lifecycle, LifecycleParts
from shale.provider.metering import MeterParts
from shale.provider.published import PublishedOrders
from shale.provider.settlement import Settlement
from shale.provider.shelf import Shelf
from shale.provider.signatures import Signatures
from shale.provider.store import Store, sqlite_url
from shale.provider.till import Till
from shale.provider.topups import TopUps
from shale.tunnel.meters import MeterSockets
from shale.units import Address, AttoFil, checked_address

FIL = AttoFil(10**18)
CONFIG = ProviderConfig(name="Fjord", tick_seconds=5)


class Door:
    """A gateway that nobody has come through."""

    user = "shale-gateway"

    async def cut(self, connections: object) -> None: ...

    def allow(self, grants: object) -> None: ...


@dataclass
class Place:
    """A provider without ssh on a real chain, and a key that signs for the contract which is the client."""

    url: str
    rpc: Rpc
    key: Account
    contract: Address
    desk: Desk
    lifecycle: Lifecycle
    settlement: Settlement
    prover: KernelProver
    domain: str
    folder: Path
    stack: AsyncExitStack

    def restart(self) -> PublishedOrders:
        """A daemon that remembers nothing but what is on the disk."""
        old = self.desk
        chain = FvmChain(old.chain.deployment, self.url, old.account, database=self.folder / "chain.db")
        self.stack.push_async_callback(chain.close)
        self.desk = Desk(
            old.config, old.total, old.store, old.shelf, old.engine, chain, old.prover, old.clock, old.account,
            old.signing, old.signatures, old.keys,
        )  # fmt: skip
        self.lifecycle = Lifecycle(replace(self.lifecycle._parts, chain=chain))
        return PublishedOrders(self.desk, self.lifecycle, LedgerBooks(old.store))

    async def order(self, secret: PaySecret, client: Address | None = None) -> Order:
        resources = Resources(500, 1 << 28)
        return Order(
            client=client or self.contract,
            provider=checked_address(self.desk.account.address),
            offer="0x" + "cd" * 32,
            resources=resources,
            image="shale/base:latest",
            dataset="",
            price=CONFIG.tariff.quote(resources),
            max_seconds=600,
            tick_seconds=5,
            ssh_key=new_ssh_key().public,
            gateway_key=new_ssh_key().public,
            pay_key=secret.public,
            nonce=7,
            deadline=self.desk.clock.now() + 600,
        )

    async def hand_in(self, order: Order, signer: Account) -> Any:
        signature = self.desk.signing.sign(order, signer)
        return await self.desk.accept({"order": order_to_json(order), "mount": "", "signature": signature})


@asynccontextmanager
async def open_place(tmp_path: Path) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        url, deployment = await stack.enter_async_context(open_devnet(tmp_path))
        operator, key = Account.create(), Account.create()
        for account in (operator, key):
            await fund(url, Address(account.address), FIL * 10)
        contract = await make_wallet(url, deployment, key)
        rpc = Rpc(url)
        stack.push_async_callback(rpc.close)
        chain = FvmChain(deployment, url, operator)
        stack.push_async_callback(chain.close)
        prover = await stack.enter_async_context(open_prover())
        store = await Store.open(sqlite_url(tmp_path / "provider.db"))
        stack.push_async_callback(store.close)
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shale-test-")))
        signing = SigningDomain(deployment.chain_id, deployment.market)
        domain = await prover.domain(deployment.chain_id, deployment.ledger)
        clock, engine, shelf, signatures = SystemClock(), MemoryEngine(), Shelf(store), Signatures(chain, signing)
        books, topups = LedgerBooks(store), TopUps(store, chain, 3600)
        till = Till(store, prover, domain)
        keys = LeaseKeys(tmp_path)
        desk = Desk(
            CONFIG, Resources(4000, 8 << 30), store, shelf, engine, chain, prover, clock, operator, signing, signatures,
            keys,
        )  # fmt: skip
        lifecycle = Lifecycle(
            LifecycleParts(
                config=CONFIG,
                store=store,
                shelf=shelf,
                engine=engine,
                volumes=LeaseVolumes(MemoryVolumes(), engine, "shale"),
                chain=chain,
                anchoring=Anchoring(chain, books, clock),
                gateway=cast("Any", Door()),
                sockets=MeterSockets(short / "meters", os.getgid()),
                meter=MeterParts(store, engine, till, clock, operator, signing, signatures, topups),
                keys=keys,
                guest=tmp_path,
                gpu_ids=(),
            )
        )
        settlement = Settlement(store, books, chain, prover, clock, Address(operator.address), domain)
        place = Place(url, rpc, key, contract, desk, lifecycle, settlement, prover, domain, tmp_path, stack)
        yield place
        await place.lifecycle.rest()
