"""Taking up, on a real anvil: what a lost answer, a kill or a cancelled command left is brought to its end, once."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from tests.senders import FIL, TO, Desk, Wire

from shale.chain.database import Database
from shale.chain.devnet import CHAIN_ID, fund
from shale.chain.intents import State
from shale.chain.node import Node
from shale.chain.outbox import Outbox
from shale.chain.sender import Sender
from shale.errors import ConfigError, Unavailable
from shale.market.accounts import Account

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


def _send_and_hang(url: str, path: str, key: bytes, where: str) -> None:
    """A process that is killed: right after the intent is stored, or right after the node took it."""
    wire = Wire(url)

    async def die(_raw: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(wire, where, die)

    async def work() -> None:
        account = Account.of_key(key)
        node = Node(wire, CHAIN_ID, 6)
        await Sender(node, account, Outbox(Database(Path(path)), CHAIN_ID, account.address)).transact(TO, b"", 11)

    asyncio.run(work())


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_killed_process_is_taken_up_and_sends_nothing_twice(desk: Desk, where: str) -> None:
    before = await desk.received()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_send_and_hang, args=(desk.url, str(desk.path), desk.account.key, where))
    process.start()
    await asyncio.to_thread(process.join, 30)
    assert process.exitcode == -signal.SIGKILL
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
