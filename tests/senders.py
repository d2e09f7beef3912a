"""A desk for a wallet's transactions: a funded wallet on a real anvil whose blocks come when the test says so."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from shale.chain.database import Database
from shale.chain.devnet import CHAIN_ID
from shale.chain.fees import MAX_FEE
from shale.chain.intents import NO_PURPOSE, Purpose
from shale.chain.node import Node
from shale.chain.outbox import Outbox
from shale.chain.rpc import Rpc
from shale.chain.sender import Sender
from shale.chain.transactions import Draft, Fees, signed
from shale.clock import Clock
from shale.market.accounts import Account
from shale.units import Address, AttoFil

FIL = AttoFil(10**18)
TO = Address("0x" + "00" * 19 + "77")


class Desk:
    """A funded wallet on a chain whose blocks come when the test says so."""

    def __init__(self, url: str, path: Path) -> None:
        self.url, self.path = url, path
        self.rpc = Rpc(url)
        self.account = Account.create()
        self._parts: list[tuple[Sender, Node, Database]] = []

    def sender(
        self, *, finality: int = 6, pause: Callable[[], Awaitable[object]] | None = None, rpc: Rpc | None = None,
        path: Path | None = None, max_fee: AttoFil = MAX_FEE, clock: Clock | None = None,
    ) -> Sender:  # fmt: skip
        """A wallet's process: whenever it waits, `pause` goes on with the world, a block by default."""
        node = Node(rpc or Rpc(self.url), CHAIN_ID, finality)
        database = Database(path or self.path)

        async def paused(_: float) -> None:
            await (pause() if pause else self.mine())

        made = Sender(node, self.account, Outbox(database, CHAIN_ID, self.account.address), paused, max_fee, clock)
        self._parts.append((made, node, database))
        return made

    def outbox(self) -> Outbox:
        return Outbox(Database(self.path), CHAIN_ID, self.account.address)

    async def mine(self, blocks: int = 1) -> None:
        await self.rpc.call("anvil_mine", hex(blocks))

    async def received(self, address: Address = TO) -> int:
        return await self.rpc.number("eth_getBalance", address, "latest")

    async def waiting(self) -> dict[str, Any]:
        """The pool's transactions of the wallet, by nonce."""
        pool = (await self.rpc.call("txpool_content"))["pending"]
        return next((each for owner, each in pool.items() if owner.lower() == self.account.address.lower()), {})

    async def head(self) -> int:
        return await self.rpc.number("eth_blockNumber")

    async def close(self) -> None:
        for sender, node, database in self._parts:
            await sender.close()
            await node.close()
            database.close()
        await self.rpc.close()


class Wire(Rpc):
    """A node's wire on which sends go wrong as the test says."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sends: list[str] = []
        self.before: Callable[[str], Awaitable[None]] | None = None
        self.after: Callable[[str], Awaitable[None]] | None = None

    async def call_once(self, method: str, *params: Any) -> Any:
        if method != "eth_sendRawTransaction":
            return await super().call_once(method, *params)
        self.sends.append(params[0])
        if self.before:
            await self.before(params[0])
        answer = await super().call_once(method, *params)
        if self.after:
            await self.after(params[0])
        return answer


async def somebody_elses(desk: Desk, nonce: int, value: int) -> str:
    fees = Fees(10**11, 10**12)
    made = signed(desk.account, CHAIN_ID, nonce, Draft(TO, b"", value, 21_000), fees)
    await desk.rpc.call("eth_sendRawTransaction", "0x" + made.raw.hex())
    return made.tx


async def reorganise(desk: Desk, depth: int) -> None:
    """Replace the newest blocks by empty ones, and one more."""
    await desk.rpc.call("anvil_reorg", depth, [])
    await desk.rpc.call("anvil_dropAllTransactions")
    await desk.mine()


def _send_and_die(url: str, path: str, key: bytes, where: str, value: int, purpose: Purpose) -> None:
    wire = Wire(url)

    async def die(_raw: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(wire, where, die)

    async def work() -> None:
        account = Account.of_key(key)
        outbox = Outbox(Database(Path(path)), CHAIN_ID, account.address)
        await Sender(Node(wire, CHAIN_ID, 6), account, outbox).transact(TO, b"", value, purpose)

    asyncio.run(work())


async def kill_in_its_send(desk: Desk, where: str, value: int, purpose: Purpose = NO_PURPOSE) -> None:
    """A process of the wallet that is killed `before` the node has its transaction, or right `after` that."""
    arguments = (desk.url, str(desk.path), desk.account.key, where, value, purpose)
    process = multiprocessing.get_context("spawn").Process(target=_send_and_die, args=arguments)
    process.start()
    await asyncio.to_thread(process.join, 60)
    assert process.exitcode == -signal.SIGKILL
