"""A client that is a contract, on a real chain: its lease's whole way, and programs that answer as they should not."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from tests.wallets import make_wallet

from shale.chain.chain import OnLedger
from shale.chain.deploy import deploy
from shale.chain.devnet import Devnet, fund
from shale.chain.fvm import FvmChain
from shale.chain.rpc import Rpc
from shale.clock import SystemClock
from shale.containers.memory import MemoryEngine
from shale.datasets.memory import MemoryVolumes
from shale.errors import InputRefused
from shale.market.accounts import Account
from shale.market.lease import EndReason, LeaseState
from shale.market.order import Confirmation, End, Order, order_to_json
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
from shale.provider.settlement import Settlement
from shale.provider.shelf import Shelf
from shale.provider.signatures import Signatures
from shale.provider.store import Store, sqlite_url
from shale.provider.till import Till
from shale.provider.topups import TopUps
from shale.tunnel.meters import MeterSockets
from shale.units import Address, AttoFil, LeaseId, checked_address

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


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    devnet = Devnet(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(devnet.stop)
        url = (await devnet.start(port)).rpc_url
        deployment = await deploy(url, None)
        operator, key = Account.create(), Account.create()
        for account in (operator, key):
            await fund(url, Address(account.address), FIL * 10)
        contract = await make_wallet(url, deployment, key)
        rpc = Rpc(url)
        stack.push_async_callback(rpc.close)
        chain = FvmChain(deployment, url, operator)
        stack.push_async_callback(chain.close)
        prover = KernelProver()
        stack.push_async_callback(prover.close)
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
        yield Place(url, rpc, key, contract, desk, lifecycle, settlement, prover, domain)
        await lifecycle.rest()


async def nothing(*_: str) -> None: ...


async def test_a_contracts_lease_goes_its_whole_way(place: Place) -> None:
    desk, chain, signing = place.desk, place.desk.chain, place.desk.signing
    secret = await place.prover.keygen()
    order = await place.order(secret)
    with pytest.raises(InputRefused, match="signed by"):
        await place.hand_in(order, Account.create())
    accepted = (await place.hand_in(order, place.key)).acceptance
    confirmation = Confirmation(accepted.order, signing.struct_hash(accepted), order.collateral, order.deadline)
    held, host_key = await desk.confirm(
        {
            "order_hash": accepted.order,
            "confirmation": {
                "acceptance": confirmation.acceptance,
                "collateral": str(order.collateral.value),
                "deadline": confirmation.deadline,
            },
            "signature": signing.sign(confirmation, place.key),
        }
    )
    await place.lifecycle.start(held, host_key, nothing)
    await anchored(place, held.id)
    record = await chain.lease(held.id)
    assert record is not None
    assert (record.client, record.state, record.deposit) == (place.contract, OnLedger.LOCKED, order.collateral)
    assert await chain.ledger_balance(place.contract) == FIL - order.collateral

    meter = place.lifecycle.meter(held.id)
    paid = order.price.over(25)
    await meter.pay(await place.prover.sign(secret, place.domain, held.id, paid, 25))
    end = End(accepted.order, paid, 25, EndReason.CLIENT_ENDED, desk.clock.now())
    with pytest.raises(InputRefused, match="signed by"):
        await meter.end_by_client(end, signing.sign(end, Account.create()))
    final = await meter.end_by_client(end, signing.sign(end, place.key))
    assert (final.amount, final.seconds, final.reason) == (paid, 25, EndReason.CLIENT_ENDED)

    [settled] = await place.settlement.run()
    assert settled.kept.proof.earned == paid
    assert (await desk.store.lease(held.id)).lease.state is LeaseState.SETTLED
    assert await chain.ledger_balance(place.contract) == FIL - paid


async def anchored(place: Place, lease: LeaseId) -> None:
    while not (await place.desk.store.lease(lease)).anchor_tx:
        await asyncio.wait(set(place.lifecycle._background), return_when=asyncio.FIRST_COMPLETED, timeout=0.1)


HOSTILE = {
    "takes all the gas": "5b600056",
    "reverts": "60006000fd",
    "answers nothing": "00",
    "answers a megabyte": "6210000060 00f3".replace(" ", ""),
    "answers yes and more": "7f1626ba7e" + "00" * 28 + "60005260406000f3",
    "answers yes cut short": "7f1626ba7e" + "00" * 28 + "60005260046000f3",
    "answers yes and a bit": "7f1626ba7e" + "00" * 27 + "01" + "60005260206000f3",
    "gives the question back": "3660006000373660 00f3".replace(" ", ""),
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE)
async def test_a_contract_that_answers_otherwise_than_yes_signs_nothing(place: Place, code: str) -> None:
    hostile = checked_address("0x" + "ba" * 20)
    await place.rpc.call("anvil_setCode", hostile, "0x" + code)
    assert not await place.desk.chain.contract_signed(hostile, "0x" + "11" * 32, "0x" + "22" * 65)
    with pytest.raises(InputRefused, match="signed by"):
        await place.hand_in(await place.order(await place.prover.keygen(), hostile), place.key)


async def test_the_magic_value_alone_is_yes(place: Place) -> None:
    lax = checked_address("0x" + "ba" * 20)
    await place.rpc.call("anvil_setCode", lax, "0x7f1626ba7e" + "00" * 28 + "60005260206000f3")
    assert await place.desk.chain.contract_signed(lax, "0x" + "11" * 32, "0x" + "22" * 65)
