"""Nonces, on a real anvil: other programs of the same wallet, and nodes that lie, make nothing be done twice."""

from __future__ import annotations

from typing import Any

import pytest
from tests.senders import TO, Desk, Wire, somebody_elses

from shale.chain.database import Database
from shale.chain.devnet import CHAIN_ID
from shale.chain.intents import State
from shale.chain.outbox import Outbox
from shale.chain.rpc import NodeError
from shale.chain.transactions import Draft, Fees, Signed, chain_of, signed
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


class Shy(Wire):
    """A node that takes what it is sent, says that its nonce was used, and doesn't show it for so many looks."""

    def __init__(self, url: str, looks: int) -> None:
        super().__init__(url)
        self.looks = looks

    async def call_once(self, method: str, *params: Any) -> Any:
        if method in ("eth_getTransactionReceipt", "eth_getTransactionByHash") and self.looks > 0:
            self.looks -= 1
            return None
        answer = await super().call_once(method, *params)
        if method == "eth_sendRawTransaction" and len(self.sends) == 1:
            raise NodeError("nonce too low")
        return answer


@pytest.mark.parametrize("looks", [1, 2, 3])
async def test_a_node_that_says_it_was_used_and_shows_it_late_makes_one_transaction(desk: Desk, looks: int) -> None:
    wire = Shy(desk.url, looks)
    before = await desk.received()
    await desk.sender(rpc=wire).transact(TO, b"", 7)
    await desk.mine(3)
    assert await desk.received() == before + 7
    (intent,) = desk.outbox().open()
    assert (intent.nonce, len(intent.attempts), intent.state) == (0, 1, State.MINED)


@pytest.mark.parametrize("late", [False, True])
async def test_a_transaction_that_shows_after_it_was_moved_is_not_made_twice_where_it_can_be_helped(
    desk: Desk, late: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The node hides the first form until the second one waits (or, late, until that is in a block too)."""
    wire = Shy(desk.url, 10**6)

    async def pause() -> None:
        moved = len(set(wire.sends)) > 1
        if not moved or late:
            await desk.mine()
        if moved:
            wire.looks = 0

    before = await desk.received()
    sender = desk.sender(rpc=wire, pause=pause)
    landed = await sender.transact(TO, b"", 7)
    await desk.mine()
    await sender.sweep()
    assert await desk.rpc.number("eth_getTransactionCount", desk.account.address, "latest") == 2
    first = next(intent for intent in desk.outbox().open() if intent.draft.to == TO)
    if late:
        assert await desk.received() == before + 14
        assert f"was made twice, as the node had hidden the first: {first.attempts[0].tx}" in caplog.text
        return
    assert await desk.received() == before + 7
    assert (landed.tx, first.nonce) == (first.attempts[0].tx, 0)
    nothing = desk.outbox().open()[-1]
    assert (nothing.nonce, nothing.state, nothing.draft.value, nothing.draft.to) == (1, State.MINED, 0, sender.address)


async def test_what_was_kept_from_its_nonce_is_moved_only_after_two_blocks(desk: Desk) -> None:
    """Another program's transaction is in the block, and ours was never taken: sure only when blocks have passed."""
    heads: list[int] = []
    wire = Wire(desk.url)

    async def faster(_raw: str) -> None:
        if len(wire.sends) == 1:
            await somebody_elses(desk, 0, 100)
            await desk.mine()
        heads.append(await desk.head())

    wire.before = faster
    before = await desk.received()
    await desk.sender(rpc=wire).transact(TO, b"", 7)
    assert await desk.received() == before + 107
    assert heads[1] - heads[0] >= 2
    (intent,) = desk.outbox().open()
    assert [attempt.nonce for attempt in intent.attempts] == [0, 1]


async def test_what_is_kept_for_another_chain_is_neither_sent_nor_in_the_way(desk: Desk) -> None:
    """Another network of the same wallet shares the file; its transactions have nonces of their own."""
    other = Outbox(Database(desk.path), 314, desk.account.address)

    def sign(draft: Draft, nonce: int, fees: Fees) -> Signed:
        return signed(desk.account, 314, nonce, draft, fees)

    left = other.add(Draft(TO, b"", 1000, 21_000), Fees(10**10, 10**11), 0, 1, sign)
    wire = Wire(desk.url)
    before = await desk.received()
    await desk.sender(rpc=wire).transact(TO, b"", 7)
    assert await desk.received() == before + 7
    assert [chain_of(bytes.fromhex(raw[2:])) for raw in wire.sends] == [CHAIN_ID]
    assert other.open() == [left]


async def test_bytes_for_another_chain_are_never_sent(desk: Desk) -> None:
    """As a fault in our own books could have it."""

    def sign(draft: Draft, nonce: int, fees: Fees) -> Signed:
        return signed(desk.account, 314, nonce, draft, fees)

    desk.outbox().add(Draft(TO, b"", 1000, 21_000), Fees(10**10, 10**11), 0, await desk.head(), sign)
    wire = Wire(desk.url)
    await desk.sender(rpc=wire).sweep()
    assert wire.sends == []


class Holding(Wire):
    """A node before whose next receipt something happens elsewhere."""

    async def call_once(self, method: str, *params: Any) -> Any:
        if method == "eth_getTransactionReceipt" and self.before:
            happens, self.before = self.before, None
            await happens("")
        return await super().call_once(method, *params)


async def test_what_another_process_gives_up_is_not_sent_once_more(desk: Desk) -> None:
    """It is dropped between the look and the send: a wallet that was told `refused` must not pay after all."""
    wire = Holding(desk.url)

    def sign(draft: Draft, nonce: int, fees: Fees) -> Signed:
        return signed(desk.account, CHAIN_ID, nonce, draft, fees)

    dropped = desk.outbox().add(Draft(TO, b"", 5, 21_000), Fees(10**10, 10**11), 0, await desk.head(), sign)

    async def drop(_: str) -> None:
        desk.outbox().drop(dropped)

    wire.before = drop
    await desk.sender(rpc=wire).sweep()
    assert (wire.sends, desk.outbox().open()) == ([], [])
