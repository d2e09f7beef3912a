"""The index of events on a real anvil: it follows the chain around reorganisations, and a node that lies is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.devnets import open_devnet

from shale.chain.abi import artifact
from shale.chain.chain import Deployment
from shale.chain.database import Database
from shale.chain.devnet import CHAIN_ID, fund
from shale.chain.events import RANGE, Events
from shale.chain.fvm import FvmChain
from shale.chain.log_store import Log
from shale.chain.node import Node
from shale.chain.rpc import NodeError, Rpc
from shale.errors import Unavailable
from shale.market.accounts import Account
from shale.units import AttoFil

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIL = AttoFil(10**18)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[str, Deployment]]:
    async with open_devnet(tmp_path_factory.mktemp("devnet")) as opened:
        yield opened


class Lens(Rpc):
    """A node whose answers the test bends."""

    def __init__(self, url: str, most: int = 8 << 20) -> None:
        super().__init__(url, most=most)
        self.asked: list[tuple[int, int]] = []
        self.bend: Callable[[str, Any, Any], Any] = lambda _method, _params, answer: answer

    async def call_once(self, method: str, *params: Any) -> Any:
        if method == "eth_getLogs":
            self.asked.append((int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)))
        return self.bend(method, params, await super().call_once(method, *params))


class Desk:
    """A client that deposits, and a scan of its deposits."""

    def __init__(self, deployed: tuple[str, Deployment], path: Path) -> None:
        self.url, self.places = deployed
        self.path = path
        self.rpc, self.lens = Rpc(self.url), Lens(self.url)
        self.account = Account.create()
        self.chain = FvmChain(self.places, self.url, self.account)
        self.node = Node(self.lens, CHAIN_ID, 5)
        self.topic = artifact("Ledger").events["Deposited"].topic

    def events(self, database: Database | None = None) -> Events:
        mine = "0x" + self.account.address[2:].lower().rjust(64, "0")
        made = database or Database(self.path)
        return Events(self.node, made, "deposits", self.places.ledger, [[self.topic, mine]], self.places.block)

    def amounts(self, logs: AsyncIterator[Log] | Any) -> list[int]:
        entry = artifact("Ledger").events["Deposited"]
        return [entry.read_log(log.topics, log.data)["amount"] for log in logs]

    async def deposit(self, *amounts: int) -> None:
        for amount in amounts:
            await self.chain.deposit(AttoFil(amount))

    async def mine(self, blocks: int) -> None:
        await self.rpc.call("anvil_mine", hex(blocks))

    async def reorganise(self, depth: int) -> None:
        """Replace the newest blocks by empty ones."""
        await self.rpc.call("anvil_reorg", depth, [])

    async def head(self) -> int:
        return await self.rpc.number("eth_blockNumber")

    async def close(self) -> None:
        await self.chain.close()
        await self.rpc.close()
        await self.lens.close()


@pytest_asyncio.fixture(loop_scope="module")
async def desk(deployed: tuple[str, Deployment], tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(deployed, tmp_path / "chain.db")
    await fund(made.url, made.account.address, FIL)
    yield made
    await made.close()


async def test_events_are_read_in_order_and_only_new_blocks_the_next_time(desk: Desk) -> None:
    events = desk.events()
    await desk.deposit(1, 2, 3)
    assert await events.sync() == await desk.head()
    assert desk.amounts(events.logs()) == [1, 2, 3]
    head = await desk.head()
    await desk.deposit(4)
    desk.lens.asked.clear()
    await desk.events().sync()
    assert desk.lens.asked == [(head + 1, head + 1)]
    assert desk.amounts(desk.events().logs()) == [1, 2, 3, 4]
    assert desk.amounts(events.logs("0x" + "12" * 32)) == []


async def test_a_reorganisation_takes_back_the_events_behind_the_fork_and_no_others(desk: Desk) -> None:
    events = desk.events()
    await desk.deposit(1, 2)
    await desk.mine(2)
    await desk.deposit(3)
    await events.sync()
    assert desk.amounts(events.logs()) == [1, 2, 3]
    await desk.reorganise(2)
    await desk.deposit(40)
    await events.sync()
    assert desk.amounts(events.logs()) == [1, 2, 40]
    await desk.reorganise(6)
    await events.sync()
    assert desk.amounts(events.logs()) == []


async def test_a_reorganisation_while_this_was_off_is_noticed(desk: Desk) -> None:
    await desk.deposit(1, 2)
    first = Database(desk.path)
    await desk.events(first).sync()
    first.close()
    await desk.reorganise(1)
    await desk.deposit(5)
    events = desk.events()
    await events.sync()
    assert desk.amounts(events.logs()) == [1, 5]


async def test_a_reorganisation_between_two_answers_is_read_again(desk: Desk) -> None:
    """The chain moves after the logs were asked for, and before their last block's hash is asked again."""
    await desk.deposit(1, 2)
    moved = False
    seen = asyncio.get_running_loop().create_future()

    class Moving(Lens):
        async def call_once(self, method: str, *params: Any) -> Any:
            nonlocal moved
            answer = await super().call_once(method, *params)
            if method == "eth_getLogs" and not moved:
                moved = True
                await desk.reorganise(1)
                seen.set_result(len(answer))
            return answer

    await desk.lens.close()
    desk.lens = Moving(desk.url)
    desk.node = Node(desk.lens, CHAIN_ID, 5)
    events = desk.events()
    await events.sync()
    assert await seen == 2
    assert desk.amounts(events.logs()) == [1]


async def test_a_node_that_is_behind_takes_nothing_back(desk: Desk) -> None:
    events = desk.events()
    await desk.deposit(1, 2)
    await events.sync()
    behind = await desk.head() - 1
    desk.lens.bend = lambda method, _params, answer: hex(behind) if method == "eth_blockNumber" else answer
    await events.sync()
    assert desk.amounts(events.logs()) == [1, 2]


async def test_ranges_are_bounded_and_shrink_to_what_the_node_takes(desk: Desk) -> None:
    await desk.deposit(1)
    await desk.mine(RANGE + 100)
    await desk.deposit(2)

    def narrow(method: str, params: Any, answer: Any) -> Any:
        if method == "eth_getLogs" and int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1 > 700:
            raise NodeError("block range exceeds maximum of 700 (got 2880)")
        return answer

    desk.lens.bend = narrow
    events = desk.events()
    await events.sync()
    assert desk.amounts(events.logs()) == [1, 2]
    spans = [end - start + 1 for start, end in desk.lens.asked]
    assert max(spans) <= RANGE
    taken = [span for span in spans if span <= 700]
    assert len(taken) < 20
    assert len(spans) - len(taken) < 12


async def test_more_logs_than_one_answer_may_hold_are_read_in_shorter_ranges(desk: Desk) -> None:
    await desk.deposit(*range(1, 13))
    await desk.lens.close()
    desk.lens = Lens(desk.url, most=4000)
    desk.node = Node(desk.lens, CHAIN_ID, 5)
    events = desk.events()
    await events.sync()
    assert desk.amounts(events.logs()) == list(range(1, 13))
    assert len(desk.lens.asked) > 3
    await desk.lens.close()
    desk.lens = Lens(desk.url, most=1200)
    desk.node = Node(desk.lens, CHAIN_ID, 5)
    with pytest.raises(Unavailable, match="too much"):
        await desk.events(Database(None)).sync()


async def test_what_a_node_does_not_keep_is_told_at_once(desk: Desk) -> None:
    def pruned(method: str, _params: Any, answer: Any) -> Any:
        if method == "eth_getLogs":
            raise NodeError("bad tipset height: lookbacks of more than 16h40m0s are disallowed")
        return answer

    desk.lens.bend = pruned
    with pytest.raises(Unavailable, match="archive node"):
        await desk.events().sync()
    assert len(desk.lens.asked) == 1


async def test_epochs_without_blocks_are_stepped_over(desk: Desk) -> None:
    await desk.deposit(1)
    await desk.mine(3)
    head = await desk.head()

    def holes(method: str, params: Any, answer: Any) -> Any:
        if method == "eth_getBlockByNumber" and params[0] in (hex(head), hex(head - 1)):
            raise NodeError("requested epoch was a null round")
        return answer

    desk.lens.bend = holes
    events = desk.events()
    assert await events.sync() == head
    assert desk.amounts(events.logs()) == [1]
    desk.lens.bend = lambda _method, _params, answer: answer
    await desk.deposit(2)
    await events.sync()
    assert desk.amounts(events.logs()) == [1, 2]


NONSENSE: list[Any] = [
    "logs", 7, {"a": 1}, [7], [{}], [None],
    {"blockNumber": "0x"}, {"blockNumber": "0x1"}, {"logIndex": -1}, {"logIndex": "0x" + "f" * 60}, {"topics": []},
    {"topics": "0x"}, {"topics": ["0x" + "12" * 32]}, {"blockHash": "0x12"}, {"blockHash": None}, {"data": 5},
    {"address": "0x" + "12" * 20}, {"transactionHash": "zz"}, {"removed": True},
]  # fmt: skip


@pytest.mark.parametrize("bent", NONSENSE, ids=str)
async def test_nonsense_in_place_of_logs_is_refused_in_one_line(desk: Desk, bent: Any) -> None:
    await desk.deposit(1)

    def lie(method: str, _params: Any, answer: Any) -> Any:
        if method != "eth_getLogs" or not answer:
            return answer
        return [answer[0] | bent] if isinstance(bent, dict) and "a" not in bent else bent

    desk.lens.bend = lie
    events = desk.events()
    with pytest.raises(Unavailable, match="nonsense") as caught:
        await events.sync()
    assert str(caught.value).isprintable()
    desk.lens.bend = lambda _method, _params, answer: answer
    await events.sync()
    assert desk.amounts(events.logs()) == [1]


async def test_a_log_of_a_block_that_is_not_the_chains_is_not_believed(desk: Desk) -> None:
    await desk.deposit(1)
    await desk.mine(2)

    def lie(method: str, _params: Any, answer: Any) -> Any:
        return [each | {"blockHash": "0x" + "77" * 32} for each in answer] if method == "eth_getLogs" else answer

    desk.lens.bend = lie
    with pytest.raises(Unavailable, match="changes its chain all the time"):
        await desk.events().sync()
    assert list(desk.events().logs()) == []


async def test_a_node_that_leaves_out_a_batch_is_found_out(desk: Desk) -> None:
    """The ledger's root says that there was one."""
    provider = desk.account.address
    chain = FvmChain(desk.places, desk.url, None)
    assert (await chain.shard_history(provider)).events == ()
    await chain.close()
    chain = FvmChain(desk.places, desk.url, None)

    async def moved(contract: Any, function: str, *arguments: Any) -> Any:
        answer = await Node.read(chain._node, contract, function, *arguments)
        if function == "shardOf" and arguments[0] == provider:
            answer = answer._replace(root=5)
        return answer

    chain._node.read = moved  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="leaves out events"):
        await chain.shard_history(provider)
    await chain.close()
