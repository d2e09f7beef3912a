"""A wallet's transactions on a real anvil: each intent lands once, whatever process, node or fork comes in between."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from shale.chain.chain import TooDear
from shale.chain.database import Database
from shale.chain.devnet import CHAIN_ID, Devnet, fund
from shale.chain.fees import MAX_FEE
from shale.chain.node import Node
from shale.chain.outbox import MAX_OPEN, Outbox, State
from shale.chain.rpc import NodeError, Rpc
from shale.chain.sender import STUCK_BLOCKS, Sender
from shale.chain.transactions import Draft, Fees, signed
from shale.errors import ConfigError, Refused, Unavailable
from shale.market.accounts import Account
from shale.units import Address, AttoFil

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIL = AttoFil(10**18)
TO = Address("0x" + "00" * 19 + "77")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    devnet = Devnet(tmp_path_factory.mktemp("devnet"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    try:
        yield (await devnet.start(port)).rpc_url
    finally:
        await devnet.stop()


class Desk:
    """A funded wallet on a chain whose blocks come when the test says so."""

    def __init__(self, url: str, path: Path) -> None:
        self.url, self.path = url, path
        self.rpc = Rpc(url)
        self.account = Account.create()
        self._parts: list[tuple[Sender, Node, Database]] = []

    def sender(
        self, *, finality: int = 6, pause: Callable[[], Awaitable[object]] | None = None, rpc: Rpc | None = None,
        path: Path | None = None, max_fee: AttoFil = MAX_FEE,
    ) -> Sender:  # fmt: skip
        """A wallet's process: whenever it waits, `pause` goes on with the world, a block by default."""
        node = Node(rpc or Rpc(self.url), CHAIN_ID, finality)
        database = Database(path or self.path)

        async def paused(_: float) -> None:
            await (pause() if pause else self.mine())

        made = Sender(node, self.account, Outbox(database, "test", self.account.address), paused, max_fee)
        self._parts.append((made, node, database))
        return made

    def outbox(self) -> Outbox:
        return Outbox(Database(self.path), "test", self.account.address)

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


@pytest_asyncio.fixture(loop_scope="module")
async def desk(url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(url, tmp_path / "chain.db")
    await made.rpc.call("evm_setAutomine", False)
    await made.mine()
    await fund(url, made.account.address, FIL)
    yield made
    await made.rpc.call("anvil_dropAllTransactions")
    await made.close()


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
        await Sender(node, account, Outbox(Database(Path(path)), "test", account.address)).transact(TO, b"", 11)

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


async def test_equal_intents_are_two_transactions(desk: Desk) -> None:
    before = await desk.received()
    sender = desk.sender()
    one, two = await asyncio.gather(sender.transact(TO, b"", 4), sender.transact(TO, b"", 4))
    assert one.tx != two.tx
    assert await desk.received() == before + 8


async def test_a_stuck_transaction_offers_a_third_more_until_it_lands(desk: Desk) -> None:
    blocks = 0

    async def dear() -> None:
        """Blocks whose base fee is over what was offered, until it was raised twice."""
        nonlocal blocks
        blocks += 1
        (intent,) = desk.outbox().open()
        if len(intent.attempts) < 3:
            await desk.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(intent.newest.fees.most * 11 // 10))
        await desk.mine()

    before = await desk.received()
    landed = await desk.sender(pause=dear).transact(TO, b"", 9)
    (intent,) = desk.outbox().open()
    assert [len(intent.attempts), intent.tx, intent.nonce] == [3, landed.tx, 0]
    for old, new in zip(intent.attempts, intent.attempts[1:], strict=False):
        assert new.fees.tip * 4 >= old.fees.tip * 5
        assert new.fees.most * 4 >= old.fees.most * 5
        assert new.head - old.head >= STUCK_BLOCKS
    assert await desk.received() == before + 9
    await desk.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    await desk.mine()


async def test_a_transaction_that_the_node_forgot_is_given_to_it_again(desk: Desk) -> None:
    forgotten = False

    async def forget() -> None:
        nonlocal forgotten
        if not forgotten:
            forgotten = True
            await desk.rpc.call("anvil_dropAllTransactions")
        await desk.mine()

    before = await desk.received()
    await desk.sender(pause=forget).transact(TO, b"", 2)
    assert forgotten
    assert await desk.received() == before + 2


async def somebody_elses(desk: Desk, nonce: int, value: int) -> str:
    fees = Fees(10**11, 10**12)
    made = signed(desk.account, CHAIN_ID, nonce, Draft(TO, b"", value, 21_000), fees)
    await desk.rpc.call("eth_sendRawTransaction", "0x" + made.raw.hex())
    return made.tx


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


async def reorganise(desk: Desk, depth: int) -> None:
    """Replace the newest blocks by empty ones, and one more."""
    await desk.rpc.call("anvil_reorg", depth, [])
    await desk.rpc.call("anvil_dropAllTransactions")
    await desk.mine()


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


async def test_a_transaction_that_never_lands_ends_the_wait_and_stays_in_the_outbox(desk: Desk) -> None:
    async def nothing() -> None:
        await desk.rpc.call("anvil_dropAllTransactions")
        await desk.mine()

    sender = desk.sender(pause=nothing)
    with pytest.raises(Unavailable, match="is not in a block after"):
        await sender.transact(TO, b"", 1)
    (intent,) = desk.outbox().open()
    assert intent.state is State.SENT
    assert len({attempt.tx for attempt in intent.attempts}) == len(intent.attempts) <= 8


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
