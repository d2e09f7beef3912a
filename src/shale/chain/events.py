"""Events: one contract's logs of some topics, kept as the chain has them now, also around reorganisations.

A scan goes from the deployment's block to the head in ranges that a node takes, and remembers the hash of each range's
last block and of each block with a log. When one of those is no longer the chain's, all that was read from there on
is forgotten and read again. Logs lie in the database, not in memory: each range is kept when it is read, so a scan
that is cut goes on where it was, and whoever folds the oldest of them bounds what lies there. That a node left some out
can't be seen here: who reads them checks them against the contract's state.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from shale.chain.complaints import complaint, is_pruned
from shale.chain.database import Database
from shale.chain.log_store import Log, LogStore
from shale.chain.node import Header, Node
from shale.chain.rpc import NodeError, TooMuch
from shale.errors import Unavailable
from shale.units import Address

RANGE = 2880
"""Blocks in one question at most: what Lotus and Forest take by default, a day of Filecoin."""
MAX_LOGS = 50_000
"""In one answer: more than fit into one that is read to its end."""
_MAX_ROLLBACKS = 5

Topics = Sequence[str | Sequence[str] | None]


class Events:
    """A scan, by its name: the logs of one address that match any of the filters."""

    def __init__(
        self, node: Node, database: Database, name: str, address: Address, filters: Sequence[Topics], start: int
    ) -> None:
        self._node = node
        self.store = LogStore(database, name, start)
        self._address = address
        self._filters = filters
        self._start = start
        self._range = RANGE

    async def sync(self, room: Callable[[int], Awaitable[None]] | None = None) -> int:
        """Read on to the head; the last block that is read.

        `room` is called before each range with the last final block: it may fold what lies there.
        Raises Unavailable when the node doesn't answer, contradicts itself, or doesn't keep what is so long ago.
        """
        for _ in range(_MAX_ROLLBACKS):
            await self._roll_back()
            head = await self._head()
            final = await self._node.final(head)
            while (at := self.store.next()) <= head:
                if room is not None:
                    await room(final)
                if not await self._read(at, head, final):
                    break  # the chain moved while it was read
            else:
                return max(head, self.store.next() - 1)
        raise Unavailable(f"the node at {self._node.rpc.place} changes its chain all the time", "use another node")

    def logs(self, topic: str | None = None) -> Iterator[Log]:
        """What was read, in the chain's order; of one kind if its topic is given."""
        return (log for log in self.store.logs() if topic is None or log.topics[0] == topic)

    async def _head(self) -> int:
        """The newest block to read. A node that is behind what was read before has nothing new for us."""
        return max(await self._node.head(), self.store.next() - 1)

    async def _roll_back(self) -> None:
        """Forget what isn't the chain's any more: all behind the newest checkpoint that still is."""
        head = await self._node.head()
        good, moved = self._start - 1, False
        for block, known in self.store.checkpoints():
            if block > head:
                continue  # a node that is behind can't say
            found = await self._node.header(block)
            if found is not None and found.hash == known:
                good = block
                break
            moved = True
        if moved:
            self.store.forget(good)

    async def _read(self, at: int, head: int, final: int) -> bool:
        """Read one range; False when the chain moved meanwhile."""
        while True:
            end = min(at + self._range - 1, head)
            before = await self._node.at_or_before(end, at)
            try:
                found = [log for topics in self._filters for log in await self._ask(at, end, topics)]
                break
            except (NodeError, TooMuch) as error:
                if isinstance(error, NodeError) and (end == at or is_pruned(error)):
                    raise complaint(error, self._node.rpc.place, None) from None
                if end == at:
                    raise
                self._range = max(1, (end - at + 1) // 2)
        moving = end > final
        if moving and (await self._node.at_or_before(end, at) != before or not await self._are_there(found, final)):
            return False
        if self._range < RANGE:
            self._range = min(RANGE, self._range * 2)
        self._keep(found, end, before, final)
        return True

    async def _are_there(self, found: list[Log], final: int) -> bool:
        """Whether the blocks of logs are the chain's: behind one address there may be nodes that differ."""
        for block, known in {log.block: log.block_hash for log in found if log.block > final}.items():
            header = await self._node.header(block)
            if header is None or header.hash != known:
                return False
        return True

    async def _ask(self, at: int, end: int, topics: Topics) -> list[Log]:
        raw = await self._node.rpc.call(
            "eth_getLogs",
            {"address": self._address, "fromBlock": hex(at), "toBlock": hex(end), "topics": list(topics)},
        )
        if raw is None:
            return []
        if not isinstance(raw, list) or len(raw) > MAX_LOGS:
            raise self._node.nonsense("no list of logs")
        return [log for log in (self._log(item, at, end, topics) for item in raw) if log is not None]

    def _log(self, raw: Any, at: int, end: int, topics: Topics) -> Log | None:
        if not isinstance(raw, dict) or raw.get("removed") is True:
            raise self._node.nonsense("no log")
        try:
            found = Log(
                block=int(raw["blockNumber"], 16),
                place=int(raw["logIndex"], 16),
                block_hash=_hex(raw["blockHash"], 32),
                tx=_hex(raw["transactionHash"], 32),
                topics=tuple(_hex(topic, 32) for topic in raw["topics"][:4]),
                data=_hex(raw["data"]),
            )
            fits = str(raw["address"]).lower() == self._address.lower() and _matches(found.topics, topics)
        except (KeyError, TypeError, ValueError):
            raise self._node.nonsense("no log") from None
        if not fits or not at <= found.block <= end or not 0 <= found.place < 1 << 32:
            raise self._node.nonsense("a log that was not asked for")
        return found

    def _keep(self, found: list[Log], end: int, last: Header | None, final: int) -> None:
        hashes = {log.block: log.block_hash for log in found}
        if any(hashes[log.block] != log.block_hash for log in found):
            raise self._node.nonsense("two blocks in the place of one")
        if last is not None and hashes.get(last.number, last.hash) != last.hash:
            raise self._node.nonsense("a log of another block")
        if last is not None:
            hashes[last.number] = last.hash
        self.store.keep(found, end, hashes, final)


def _matches(found: Sequence[str], wanted: Topics) -> bool:
    for at, choice in enumerate(wanted):
        if choice is None:
            continue
        choices = [choice] if isinstance(choice, str) else choice
        if at >= len(found) or found[at] not in choices:
            return False
    return True


def _hex(raw: object, size: int = -1) -> str:
    """Lower-case 0x-hex of so many bytes. Raises ValueError."""
    if not isinstance(raw, str) or not raw.startswith("0x"):
        raise ValueError("no hex")
    if size not in (-1, len(bytes.fromhex(raw[2:]))):
        raise ValueError("wrong size")
    return raw.lower()
