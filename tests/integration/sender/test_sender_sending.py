"""Sending, on a real anvil: a transaction lands once and says where, or is refused before anything is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.senders import FIL, TO, Desk, Wire

from shale.chain.chain import TooDear
from shale.chain.outbox import MAX_OPEN
from shale.chain.rpc import NodeError
from shale.errors import ConfigError, Refused, Unavailable
from shale.units import AttoFil

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_transaction_lands_and_says_where_and_for_how_much(desk: Desk) -> None:
    before = await desk.received()
    landed = await desk.sender().transact(TO, b"", 5)
    assert await desk.received() == before + 5
    spent = FIL.value - await desk.received(desk.account.address)
    assert spent == 5 + landed.fee
    assert (landed.gas, landed.ok, landed.block) == (21_000, True, await desk.head())


async def test_a_transaction_over_the_limit_names_the_setting_and_is_not_sent(desk: Desk) -> None:
    before = await desk.received()
    with pytest.raises(TooDear, match=r"over max_gas_fee = 1 attoFIL.*chain\.max_gas_fee"):
        await desk.sender(max_fee=AttoFil(1)).transact(TO, b"", 5)
    assert await desk.received() == before
    assert desk.outbox().open() == []


async def test_equal_intents_are_two_transactions(desk: Desk) -> None:
    before = await desk.received()
    sender = desk.sender()
    one, two = await asyncio.gather(sender.transact(TO, b"", 4), sender.transact(TO, b"", 4))
    assert one.tx != two.tx
    assert await desk.received() == before + 8


async def test_two_processes_share_an_outbox(desk: Desk) -> None:
    before = await desk.received()
    one, two = desk.sender(), desk.sender()
    await asyncio.gather(*(sender.transact(TO, b"", 1) for sender in (one, two) for _ in range(4)))
    assert await desk.received() == before + 8
    assert sorted(intent.nonce for intent in desk.outbox().open()) == list(range(8))


async def test_no_more_wait_at_once_than_a_node_takes(desk: Desk) -> None:
    most = 0

    async def look() -> None:
        nonlocal most
        most = max(most, len(await desk.waiting()))
        await desk.mine()

    sender = desk.sender(pause=look)
    before = await desk.received()
    await asyncio.gather(*(sender.transact(TO, b"", 1) for _ in range(MAX_OPEN + 4)))
    assert most <= MAX_OPEN
    assert await desk.received() == before + MAX_OPEN + 4


async def test_what_the_node_refuses_outright_leaves_its_nonce_free(desk: Desk) -> None:
    class Poor(Wire):
        async def call_once(self, method: str, *params: Any) -> Any:
            if method == "eth_sendRawTransaction" and not self.sends:
                self.sends.append("refused")
                raise NodeError("not enough funds to execute transaction")
            return await super().call_once(method, *params)

    sender = desk.sender(rpc=Poor(desk.url))
    with pytest.raises(ConfigError, match="can't pay"):
        await sender.transact(TO, b"", 1)
    assert desk.outbox().open() == []
    await sender.transact(TO, b"", 1)
    assert [intent.nonce for intent in desk.outbox().open()] == [0]


async def test_a_disk_that_is_full_stops_a_transaction_before_it_is_sent(desk: Desk) -> None:
    sender = desk.sender()
    await sender.transact(TO, b"", 1)
    database = desk._parts[-1][2]
    with database.read() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    before = await desk.received()
    with pytest.raises(Unavailable, match="full"):
        await sender.transact(TO, bytes(60_000), 1)
    assert await desk.waiting() == {}
    assert await desk.received() == before


async def test_too_much_for_a_message_of_filecoin_is_refused_before_it_is_sent(desk: Desk) -> None:
    with pytest.raises(Refused, match="64 KiB"):
        await desk.sender().transact(TO, bytes(64 << 10))
