"""Reorganisations, on a real anvil: what they take out of its block goes in again, once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.senders import TO, Desk, Wire, reorganise, somebody_elses

from shale.chain.intents import State
from shale.chain.tending import STUCK_BLOCKS
from shale.errors import Refused, Unavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_reorganisation_takes_a_transaction_out_and_it_goes_in_again_once(desk: Desk) -> None:
    sender = desk.sender(finality=5)
    before = await desk.received()
    landed = await sender.transact(TO, b"", 13)
    await desk.mine(2)
    await reorganise(desk, 3)
    assert await desk.received() == before
    await sender.sweep()
    (intent,) = desk.outbox().open()
    assert intent.state is State.SENT
    final = await sender.wait_final(landed.tx)
    assert (final.tx, final.block > landed.block) == (landed.tx, True)
    assert await desk.head() - final.block >= 5
    assert await desk.received() == before + 13
    assert desk.outbox().open() == []


async def test_what_a_reorganisation_took_out_keeps_its_nonce_before_a_new_one(desk: Desk) -> None:
    """The new transaction comes before anybody has looked after the old one."""
    sender = desk.sender(finality=50)
    before = await desk.received()
    await sender.transact(TO, b"", 100)
    await reorganise(desk, 1)
    assert await desk.received() == before
    await sender.transact(TO, b"", 7)
    assert await desk.received() == before + 107
    await sender.sweep()
    assert [(intent.nonce, intent.state) for intent in desk.outbox().open()] == [(0, State.MINED), (1, State.MINED)]


async def test_a_transaction_that_fails_when_it_is_sent_again_is_told(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    sender = desk.sender(finality=50)
    landed = await sender.transact(TO, b"", 1)
    await reorganise(desk, 1)
    await desk.rpc.call("anvil_setCode", TO, "0x60006000fd")  # it reverts from now on
    try:
        await sender.sweep()
        await desk.mine()
        await sender.sweep()
    finally:
        await desk.rpc.call("anvil_setCode", TO, "0x")
    (intent,) = desk.outbox().open()
    assert intent.state is State.FAILED
    assert f"transaction {landed.tx} failed in block" in caplog.text


async def test_waiting_for_the_final_block_takes_finality_and_no_more(desk: Desk) -> None:
    sender = desk.sender(finality=4)
    landed = await sender.transact(TO, b"", 1)
    assert await sender.wait_final(landed.tx) == landed
    assert 4 <= await desk.head() - landed.block <= 6
    with pytest.raises(Refused, match="has not sent"):
        await sender.wait_final("0x" + "12" * 32)


async def test_a_node_that_is_behind_makes_nothing_be_sent_again(desk: Desk) -> None:
    class Behind(Wire):
        behind = False

        async def call_once(self, method: str, *params: Any) -> Any:
            if self.behind and method == "eth_blockNumber":
                return hex(1)
            if self.behind and method == "eth_getTransactionReceipt":
                return None
            return await super().call_once(method, *params)

    wire = Behind(desk.url)
    sender = desk.sender(rpc=wire, finality=50)
    await sender.transact(TO, b"", 1)
    wire.behind = True
    await sender.sweep()
    assert [intent.state for intent in desk.outbox().open()] == [State.MINED]
    assert len(wire.sends) == 1


async def test_what_was_taken_out_late_offers_no_more_before_it_had_its_time(desk: Desk) -> None:
    """It was signed long ago, and the node that has it again loses it for some blocks."""
    blocks = 0

    async def lose() -> None:
        nonlocal blocks
        blocks += 1
        if blocks < 4:
            await desk.rpc.call("anvil_dropAllTransactions")
        await desk.mine()

    sender = desk.sender(finality=50, pause=lose)
    await sender.transact(TO, b"", 100)
    await desk.mine(STUCK_BLOCKS)
    await reorganise(desk, STUCK_BLOCKS + 1)
    before, blocks = await desk.received(), 0
    await sender.transact(TO, b"", 7)
    assert await desk.received() == before + 107
    assert [len(intent.attempts) for intent in desk.outbox().open()] == [1, 1]


async def test_what_a_shorter_head_took_out_is_sent_again_before_a_new_one(desk: Desk) -> None:
    """The chain goes back behind the old transaction's block, and isn't as long again when the new one is made."""
    fork = await desk.rpc.call("evm_snapshot")
    before = await desk.received()
    sender = desk.sender(finality=50)
    await sender.transact(TO, b"", 100)
    await desk.mine(5)
    await desk.rpc.call("evm_revert", fork)
    await desk.rpc.call("anvil_dropAllTransactions")
    await desk.rpc.call("evm_setAutomine", False)
    assert await desk.received() == before
    await sender.transact(TO, b"", 7)
    assert await desk.received() == before + 107
    await sender.sweep()
    assert [(each.nonce, each.state, len(each.attempts)) for each in desk.outbox().open()] == [
        (0, State.MINED, 1),
        (1, State.MINED, 1),
    ]


async def test_a_transaction_that_was_told_as_not_made_and_lands_after_all_is_told_again(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """A reorganisation takes the one that had its nonce out of the chain, and lets it in."""

    async def other() -> None:
        if await desk.rpc.number("eth_getTransactionCount", desk.account.address, "latest") == 0:
            await somebody_elses(desk, 0, 1000)
        await desk.mine()

    sender = desk.sender(pause=other, finality=50)
    before, head = await desk.received(), await desk.head()
    with pytest.raises(Unavailable, match="another one of this wallet has its nonce"):
        await sender.transact(TO, b"", 7)
    (intent,) = desk.outbox().open()
    await reorganise(desk, await desk.head() - head)
    await desk.rpc.call("eth_sendRawTransaction", "0x" + intent.newest.raw.hex())
    await desk.mine()
    await sender.sweep()
    assert await desk.received() == before + 7
    assert f"transaction {intent.newest.tx} is in block {await desk.head()} after all" in caplog.text
