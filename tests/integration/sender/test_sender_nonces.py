"""Nonces, on a real anvil: other programs of the same wallet, and nodes that lie, make nothing be done twice."""

from __future__ import annotations

from typing import Any

import pytest
from tests.senders import TO, Desk, Wire, somebody_elses

from shale.chain.intents import State
from shale.errors import Unavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_transaction_whose_nonce_another_took_is_told_and_not_repeated(desk: Desk) -> None:
    replaced = False

    async def other() -> None:
        nonlocal replaced
        if not replaced:
            replaced = True
            await somebody_elses(desk, 0, 1000)
        await desk.mine()

    before = await desk.received()
    sender = desk.sender(pause=other, finality=3)
    with pytest.raises(Unavailable, match="another one of this wallet has its nonce"):
        await sender.transact(TO, b"", 7)
    assert await desk.received() == before + 1000
    (intent,) = desk.outbox().open()
    assert intent.state is State.DISPLACED
    await desk.mine(4)
    await sender.sweep()
    assert desk.outbox().open() == []
    await sender.transact(TO, b"", 7)
    assert await desk.received() == before + 1007


async def test_another_process_that_was_faster_costs_only_a_nonce(desk: Desk) -> None:
    """The other one knows nothing of our outbox: its transaction has our nonce before ours is sent."""
    wire = Wire(desk.url)
    for value, mined in ((100, False), (200, True)):

        async def faster(_raw: str, value: int = value, mined: bool = mined) -> None:
            wire.before = None
            await somebody_elses(
                desk, await desk.rpc.number("eth_getTransactionCount", desk.account.address, "latest"), value
            )
            if mined:
                await desk.mine()

        wire.before = faster
        before = await desk.received()
        await desk.sender(rpc=wire).transact(TO, b"", 7)
        assert await desk.received() == before + value + 7


async def test_a_nonce_that_a_node_made_up_is_not_believed_and_blocks_nothing(desk: Desk) -> None:
    class Liar(Wire):
        latest_too = False

        async def call_once(self, method: str, *params: Any) -> Any:
            if method == "eth_getTransactionCount" and (self.latest_too or params[1] == "pending"):
                return hex(10**6)
            return await super().call_once(method, *params)

    liar = Liar(desk.url)
    with pytest.raises(Unavailable, match="a nonce that is far off"):
        await desk.sender(rpc=liar).transact(TO, b"", 1)
    assert desk.outbox().open() == []

    liar.latest_too = True

    async def honest_again() -> None:
        liar.latest_too = False
        await desk.mine()

    with pytest.raises(Unavailable, match="was not made"):
        await desk.sender(rpc=liar, pause=honest_again).transact(TO, b"", 1)
    before = await desk.received()
    await desk.sender().transact(TO, b"", 1)
    assert await desk.received() == before + 1
