"""Orders by transactions on a real chain: a daemon killed around its own sends it once, and contracts may order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.places import FIL, Place, open_place
from tests.settlements import Killed
from tests.wallets import execute

from shale.chain.abi import Contract, artifact
from shale.chain.chain import OnLedger, OrderStage
from shale.chain.database import Database
from shale.chain.fvm import FvmChain
from shale.chain.node import Node
from shale.chain.outbox import Outbox
from shale.chain.sender import Sender
from shale.market.lease import LeaseState
from shale.market.order import order_to_json
from shale.market.signing import words
from shale.provider.store import Held
from shale.units import ZERO, lease_id_of


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with open_place(tmp_path) as opened:
        yield opened


async def quiet(*_: str) -> None: ...


async def taken(place: Place, order: Any) -> Held:
    accepted = await place.desk.accept({"order": order_to_json(order), "mount": "", "signature": None})
    return await place.desk.store.lease(lease_id_of(accepted.acceptance.order))


@pytest.mark.parametrize("step", ["_submit", "follow", "post"])
async def test_an_acceptance_whose_daemon_is_killed_around_it_is_sent_once(place: Place, step: str) -> None:
    async def killed(*_: object) -> Any:
        raise Killed

    client = FvmChain(place.desk.chain.deployment, place.url, place.key)
    place.stack.push_async_callback(client.close)
    orders: Any = place.restart()
    order = await place.order(await place.prover.keygen(), client.account)
    await client.create_order(order)
    held = await taken(place, order)
    operator = place.desk.account.address
    before = await place.rpc.number("eth_getTransactionCount", operator, "latest")

    chain: Any = place.desk.chain
    parts = {"_submit": chain._sender, "follow": chain._sender._following, "post": orders._books}
    setattr(parts[step], step, killed)
    with pytest.raises(Killed):
        await orders.look(held)
    orders = place.restart()
    for _ in range(2):
        await orders.look(held)
    assert await client.order_stage(held.id) is OrderStage.ACCEPTED
    assert await place.rpc.number("eth_getTransactionCount", operator, "latest") == before + 1

    await client.deposit(order.collateral)
    await client.confirm_order(order, held.acceptance)
    await orders.begin(held.id, quiet)
    assert (await place.desk.store.lease(held.id)).lease.state is LeaseState.RUNNING


async def test_a_contract_that_signs_nothing_leases_by_transactions_of_its_own(place: Place) -> None:
    places = place.desk.chain.deployment
    node = Node(place.url, places.chain_id)
    sender = Sender(node, place.key, Outbox(Database(None), node.chain_id, place.key.address))
    market, orders = Contract(places.market, artifact("Market")), place.restart()
    order = await place.order(await place.prover.keygen())

    async def send(function: str, *values: Any) -> None:
        await execute(sender, place.contract, places.market, ZERO, market.function(function).call(list(values)))

    await send("createOrder", words(order))
    held = await taken(place, order)
    await orders.look(held)
    await send("confirmOrder", words(order), words(held.acceptance))
    await orders.look(held)
    record = await place.desk.chain.lease(held.id)
    assert record is not None
    assert (record.client, record.state) == (place.contract, OnLedger.LOCKED)
    assert (await place.desk.store.lease(held.id)).lease.state is LeaseState.RUNNING
    assert await place.desk.chain.ledger_balance(place.contract) == FIL - order.collateral
    await sender.close()
    await node.close()
