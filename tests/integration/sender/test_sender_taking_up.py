"""Taking up, on a real anvil: what a lost answer, a kill or a cancelled command left is brought to its end, once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.senders import FIL, TO, Desk, Wire, kill_in_its_send

from shale.chain.devnet import fund
from shale.chain.intents import State
from shale.chain.rpc import NodeError
from shale.chain.sender import KEEP_SECONDS, Sender
from shale.clock import ManualClock
from shale.errors import ConfigError, Unavailable
from shale.keeping import FIRST_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_answer_that_is_lost_does_not_send_twice(desk: Desk) -> None:
    """The node took it, and the connection broke before it said so; and the other way round."""
    before = await desk.received()
    for moment in ("before", "after"):
        wire = Wire(desk.url)

        async def cut(_raw: str, wire: Wire = wire) -> None:
            wire.before = wire.after = None
            raise Unavailable("cut off")

        setattr(wire, moment, cut)
        await desk.sender(rpc=wire).transact(TO, b"", 3)
        assert len(set(wire.sends)) == 1
    assert await desk.received() == before + 6
    assert await desk.rpc.number("eth_getTransactionCount", desk.account.address, "pending") == 2


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_killed_process_is_taken_up_and_sends_nothing_twice(desk: Desk, where: str) -> None:
    before = await desk.received()
    await kill_in_its_send(desk, where, 11)
    (left,) = desk.outbox().open()
    assert (left.state, left.nonce) == (State.SENT, 0)
    assert bool(await desk.waiting()) is (where == "after")

    await desk.sender().transact(TO, b"", 1)
    assert await desk.received() == before + 12
    assert await desk.rpc.number("eth_getTransactionCount", desk.account.address, "latest") == 2
    first, second = desk.outbox().open()
    assert (first.tx, first.nonce, second.nonce) == (left.newest.tx, 0, 1)


async def test_a_wallet_that_was_emptied_meanwhile_is_told_to_be_filled(desk: Desk) -> None:
    wire = Wire(desk.url)

    async def cut(_raw: str) -> None:
        raise Unavailable("cut off")

    async def stop() -> None:
        raise KeyboardInterrupt

    wire.before = cut
    with pytest.raises(KeyboardInterrupt):
        await desk.sender(rpc=wire, pause=stop).transact(TO, b"", FIL.value // 2)
    await desk.rpc.call("anvil_setBalance", desk.account.address, hex(FIL.value // 4))
    sender = desk.sender()
    assert await sender.waiting() == 1
    with pytest.raises(ConfigError, match="fund it"):
        await sender.transact(TO, b"", 1)
    await fund(desk.url, desk.account.address, FIL)
    before = await desk.received()
    await desk.sender().transact(TO, b"", 1)
    assert await desk.received() == before + FIL.value // 2 + 1
    assert await sender.waiting() == 0


class Gateway(Wire):
    """It answers the first send with an error of its own, before the node has the transaction or after."""

    def __init__(self, url: str, *, taken: bool) -> None:
        super().__init__(url)
        self.taken = taken
        self.hides = True

    async def call_once(self, method: str, *params: Any) -> Any:
        if method == "eth_getTransactionByHash" and self.hides:
            return None
        if method != "eth_sendRawTransaction" or self.sends:
            return await super().call_once(method, *params)
        if self.taken:
            await super().call_once(method, *params)
        else:
            self.sends.append("lost")
        raise NodeError("upstream request timed out")


@pytest.mark.parametrize("taken", [True, False])
async def test_an_error_that_nobody_knows_is_no_refusal(desk: Desk, taken: bool) -> None:
    before = await desk.received()
    sender = desk.sender(rpc=Gateway(desk.url, taken=taken))
    await sender.transact(TO, b"", 5)
    assert await desk.received() == before + 5
    await sender.transact(TO, b"", 6)
    assert await desk.received() == before + 11
    assert [intent.nonce for intent in desk.outbox().open()] == [0, 1]


async def cancelled_in_its_send(desk: Desk, sender: Sender, wire: Wire) -> None:
    reached = asyncio.Event()

    async def hang(_raw: str) -> None:
        wire.before = None
        reached.set()
        await asyncio.Event().wait()

    wire.before = hang
    task = asyncio.create_task(sender.transact(TO, b"", 3))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("finality", [0, 6])
async def test_a_transaction_that_was_cancelled_in_its_send_holds_up_none_after_it(desk: Desk, finality: int) -> None:
    wire = Wire(desk.url)
    sender = desk.sender(rpc=wire, finality=finality)
    before = await desk.received()
    await cancelled_in_its_send(desk, sender, wire)
    await sender.transact(TO, b"", 4)
    assert await desk.received() == before + 7
    with desk.outbox()._database.read() as connection:
        count = "SELECT count(*) FROM attempts GROUP BY intent"
        assert [row[0] for row in connection.execute(count)] == [1, 1]


async def test_what_nobody_waits_for_is_kept_from_the_moment_it_is_written_down_whatever_fails(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """No transaction has succeeded yet, and the first look ends in a mistake of ours."""

    class Faulty(Wire):
        faults = 0

        async def call_once(self, method: str, *params: Any) -> Any:
            if method == "eth_blockNumber" and self.faults:
                self.faults -= 1
                raise TypeError("a mistake")
            return await super().call_once(method, *params)

    wire, clock, sent = Faulty(desk.url), ManualClock(), asyncio.Event()
    await cancelled_in_its_send(desk, desk.sender(rpc=wire, clock=clock), wire)

    async def seen(_raw: str) -> None:
        sent.set()

    wire.after, wire.faults = seen, 1
    await clock.advance(KEEP_SECONDS)
    assert "the wallet's transactions: TypeError: a mistake" in caplog.text
    await clock.advance(FIRST_SECONDS)
    await clock.advance(KEEP_SECONDS)
    await asyncio.wait_for(sent.wait(), 30)
    assert list(await desk.waiting()) == ["0"]


async def test_what_does_not_concern_us_is_looked_after_and_not_waited_for(desk: Desk) -> None:
    """It is stuck: no block comes as long as somebody waits."""
    before = await desk.received()
    await kill_in_its_send(desk, "before", 11)

    async def waits() -> None:
        raise AssertionError("it waits")

    sender = desk.sender(pause=waits)
    await sender.take_up(lambda draft: draft.value == 12)
    assert list(await desk.waiting()) == ["0"]  # it was sent all the same
    with pytest.raises(AssertionError, match="it waits"):
        await sender.take_up(lambda draft: draft.value == 11)
    await desk.sender().take_up(lambda draft: draft.value == 11)
    assert await desk.received() == before + 11
