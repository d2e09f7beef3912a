"""A node whose ledger has as many events as a test likes, and takes blocks back where it is told to."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from shale.chain.abi import Contract, artifact
from shale.chain.codec import encode, kind_of
from shale.chain.rpc import Rpc, TooMuch
from shale.errors import Unavailable
from shale.hashes import keccak
from shale.market.order import PayKey
from shale.payments.batch import Leaf
from shale.units import Address, AttoFil, LeaseId

CHAIN = 31415926
LEDGER = Contract(Address("0x" + "00" * 19 + "AA"), artifact("Ledger"))
MARKET = Contract(Address("0x" + "00" * 19 + "DD"), artifact("Market"))
PROVIDER = Address("0x" + "00" * 19 + "BB")
CLIENT = Address("0x" + "00" * 19 + "CC")
INSERT, CLAIM, CLOSE = 1, 2, 4
_ANSWER = 4000
"""Logs that fit into one answer."""


def root_of(number: int) -> str:
    """A root that stands for a tree; the empty one's is the first."""
    return f"0x{number + 1:064x}"


def key_of(lease: int) -> PayKey:
    return PayKey(f"0x{lease + 7:064x}", f"0x{lease + 9:064x}")


@dataclass
class Block:
    """A block and what its logs say: the event's name and its values."""

    fork: int
    events: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)


class EventChain(Rpc):
    """The blocks from 1 on. It answers for at most `span`, and for none from `cut` on."""

    contract = LEDGER

    def __init__(self) -> None:
        super().__init__("http://node.example")
        self.blocks: list[Block] = [Block(0)]
        self.fork = 0
        self.root = 0
        self.trees: dict[str, list[Leaf]] = {root_of(0): []}
        self.cut: int | None = None
        self.span = 10**6
        self.asked: list[tuple[int, int]] = []

    @property
    def head(self) -> int:
        return len(self.blocks) - 1

    def hash(self, block: int) -> str:
        return "0x" + keccak(f"{block}/{self.blocks[block].fork}".encode()).hex()

    def mine(self, events: list[tuple[str, tuple[Any, ...]]]) -> None:
        self.blocks.append(Block(self.fork, events))

    def events_of(self, block: int) -> list[tuple[str, tuple[Any, ...]]]:
        return self.blocks[block].events

    def take_back(self, depth: int) -> None:
        self.fork += 1
        del self.blocks[len(self.blocks) - depth :]

    async def call_once(self, method: str, *params: Any) -> Any:
        match method:
            case "eth_chainId":
                return hex(CHAIN)
            case "eth_blockNumber":
                return hex(self.head)
            case "eth_getBlockByNumber":
                return self._header(params[0])
            case "eth_call":
                values = self.answer(PROVIDER[2:].lower() in params[0]["data"])
                return "0x" + encode([kind_of("uint256")] * len(values), values).hex()
            case "eth_getLogs":
                return self._logs(params[0])
        raise AssertionError(method)

    def answer(self, mine: bool) -> list[int]:
        """What the contract's view says of the provider, or of another."""
        return [self.root + 1 if mine else 1, 0, 0]

    def _header(self, which: str) -> dict[str, str] | None:
        if not which.startswith("0x") or int(which, 16) > self.head:
            return None
        number = int(which, 16)
        zero = "0x" + "00" * 32
        return {"number": which, "hash": self.hash(number), "parentHash": zero, "timestamp": "0x1"}

    def _logs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        start, end = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        self.asked.append((start, end))
        if self.cut is not None and end >= self.cut:
            raise Unavailable("the node is gone", "wait")
        if end - start >= self.span:
            raise TooMuch("too much", "ask for less")
        wanted = query["topics"][0]
        found: list[dict[str, Any]] = []
        for number in range(start, end + 1):
            for place, (name, values) in enumerate(self.events_of(number)):
                if self.contract.artifact.events[name].topic in wanted:
                    found.append(self._log(number, place, name, values))
            if len(found) > _ANSWER and end > start:
                raise TooMuch("too much", "ask for less")
        return found

    def _log(self, number: int, place: int, name: str, values: tuple[Any, ...]) -> dict[str, Any]:
        entry = self.contract.artifact.events[name]
        parts = list(zip(entry.inputs, entry.kinds, values, strict=True))
        topics = ["0x" + encode([kind], [value]).hex() for each, kind, value in parts if each["indexed"]]
        plain = [(kind, value) for each, kind, value in parts if not each["indexed"]]
        return {
            "address": self.contract.address,
            "blockNumber": hex(number),
            "logIndex": hex(place),
            "blockHash": self.hash(number),
            "transactionHash": "0x" + "12" * 32,
            "topics": [entry.topic, *topics],
            "data": "0x" + encode([kind for kind, _ in plain], [value for _, value in plain]).hex(),
        }


@dataclass
class State:
    """A provider's leases as a test plays them: `leaves` by index, and what was exited among them."""

    root: int = 0
    leases: int = 0
    locked: list[int] = field(default_factory=list)
    leaves: dict[int, Leaf] = field(default_factory=dict)
    exited: set[int] = field(default_factory=set)

    def copy(self) -> State:
        return State(self.root, self.leases, list(self.locked), dict(self.leaves), set(self.exited))

    def tree(self) -> list[Leaf]:
        return [self.leaves[index] for index in sorted(self.leaves)]

    def lock(self) -> tuple[str, tuple[Any, ...]]:
        self.leases += 1
        self.locked.append(self.leases)
        key = key_of(self.leases)
        return "Locked", (self.leases, CLIENT, PROVIDER, 1000, int(key.x, 16), int(key.y, 16))

    def refund(self) -> tuple[str, tuple[Any, ...]]:
        return "Closed", (self.locked.pop(), CLIENT, PROVIDER, 0, 1000, 0, 0)

    def exit(self, index: int) -> tuple[str, tuple[Any, ...]]:
        self.exited.add(index)
        return "Exited", (PROVIDER, int(self.leaves[index].lease, 16), 1, index)

    def settle(self, most: int, new: int, roll: random.Random) -> list[tuple[str, tuple[Any, ...]]]:
        """A batch: it inserts what is locked, and claims or closes at random."""
        events: list[tuple[str, tuple[Any, ...]]] = []
        free = (index for index in range(1 << 20) if index not in self.leaves)
        for lease in self.locked[:most]:
            index = next(free)
            self.leaves[index] = Leaf(index, LeaseId(f"0x{lease:062x}"), key_of(lease))
            events.append(("Operation", (PROVIDER, lease, index, INSERT, 0, 0)))
        inserted, self.locked = {event[1][1] for event in events}, self.locked[most:]
        living = [index for index, leaf in self.leaves.items() if index not in self.exited]
        for index in roll.sample(living, min(len(living), most - len(events))):
            leaf = self.leaves[index]
            lease = int(leaf.lease, 16)
            if lease in inserted:
                continue
            if roll.random() < 0.02:
                del self.leaves[index]
                events.append(("Operation", (PROVIDER, lease, index, CLOSE, leaf.amount.value, leaf.seconds)))
                events.append(("Closed", (lease, CLIENT, PROVIDER, leaf.amount.value, 0, leaf.seconds, 0)))
                continue
            after = Leaf(index, leaf.lease, leaf.key, leaf.amount + AttoFil(3), leaf.seconds + 1)
            self.leaves[index] = after
            events.append(("Operation", (PROVIDER, lease, index, CLAIM, after.amount.value, after.seconds)))
        events.append(("Settled", (PROVIDER, self.root + 1, new + 1, 0, 256, 0)))
        self.root = new
        return events


class LongChain(EventChain):
    """A provider that redeems its leases for years: each block has a batch of a window, made when it is asked for."""

    LEASES = 1024
    SIZE = 256

    def __init__(self, events: int) -> None:
        super().__init__()
        self.inserts = self.LEASES // self.SIZE
        self._head = events // (self.SIZE + 1)
        self.root = self._head

    @property
    def head(self) -> int:
        return self._head

    def hash(self, block: int) -> str:
        return f"0x{block:064x}"

    def leaf(self, index: int, block: int) -> Leaf:
        """As it stands after a block."""
        rounds = (block - 1 - index // self.SIZE) // self.inserts
        return Leaf(index, LeaseId(f"0x{index + 1:062x}"), key_of(index + 1), AttoFil(rounds), rounds)

    def events_of(self, block: int) -> list[tuple[str, tuple[Any, ...]]]:
        window = (block - 1) % self.inserts
        events: list[tuple[str, tuple[Any, ...]]] = []
        for index in range(window * self.SIZE, (window + 1) * self.SIZE):
            leaf, new = self.leaf(index, block), block <= self.inserts
            if new:
                key = leaf.key
                events.append(("Locked", (index + 1, CLIENT, PROVIDER, 1000, int(key.x, 16), int(key.y, 16))))
            flags = INSERT if new else CLAIM
            events.append(("Operation", (PROVIDER, index + 1, index, flags, leaf.amount.value, leaf.seconds)))
        return [*events, ("Settled", (PROVIDER, block, block + 1, window, self.SIZE, 0))]
