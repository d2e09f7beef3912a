"""Node: what a chain's node answers to reads, checked and bounded, its errors in our terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shale.chain.abi import Contract
from shale.chain.chain import MAINNET
from shale.chain.complaints import complaint, is_null_round
from shale.chain.rpc import ATTEMPTS, NodeError, Rpc
from shale.errors import ConfigError, Unavailable
from shale.units import Address, AttoFil

FINALITY = {MAINNET: 900, 314159: 900, 31415926: 0}
"""Epochs after which a block counts as final: Filecoin's expected consensus. A devnet's one node takes nothing back."""
_DEFAULT_FINALITY = 900
_MOST_EMPTY = 20
"""Epochs in a row that are without blocks."""


@dataclass(frozen=True, slots=True)
class Header:
    """A block; fees in attoFIL for each unit of gas, the time in Unix seconds."""

    number: int
    hash: str
    parent: str
    time: int
    base_fee: int
    gas_limit: int


@dataclass(frozen=True, slots=True)
class Landed:
    """A transaction that is in a block. `contract` is the one that it made; `fee` is attoFIL for all its gas."""

    tx: str
    block: int
    block_hash: str
    gas: int
    fee: int
    ok: bool
    contract: str


class Node:
    """A chain, as anyone reads it. Reads are repeated a few times where the node is down or overrun."""

    def __init__(self, rpc: str | Rpc, chain_id: int, finality: int | None = None) -> None:
        self.rpc = Rpc(rpc, attempts=ATTEMPTS) if isinstance(rpc, str) else rpc
        self.chain_id = chain_id
        self.finality = FINALITY.get(chain_id, _DEFAULT_FINALITY) if finality is None else finality
        self._checked = False

    def __repr__(self) -> str:
        return f"Node({self.rpc.place}, chain {self.chain_id})"

    async def check_chain(self) -> None:
        """Raise ConfigError unless the node is on our chain; asked once."""
        if self._checked:
            return
        found = await self._number("eth_chainId")
        if found != self.chain_id:
            raise ConfigError(
                f"the node at {self.rpc.place} is on chain {found}, the network says {self.chain_id}",
                "correct the network's RPC URL (shale network add)",
            )
        self._checked = True

    async def read(self, contract: Contract, function: str, *arguments: Any, block: int | None = None) -> Any:
        """What a contract's view function answers, now or as of a block: a value, or a named tuple of several."""
        await self.check_chain()
        entry = contract.function(function)
        when = "latest" if block is None else hex(block)
        raw = await self.ask("eth_call", {"to": contract.address, "data": entry.call(arguments)}, when)
        data = self._hex(raw)
        if not data and entry.outputs:
            raise no_contract(self.rpc.place)
        try:
            return entry.answer(data)
        except ValueError as error:
            raise self.nonsense(str(error)) from None

    async def has_code(self, address: Address) -> bool:
        return len(await self.code(address)) > 0

    async def code(self, address: Address) -> bytes:
        """The code of the contract at this address; empty where there is none."""
        return self._hex(await self.ask("eth_getCode", address, "latest"))

    async def balance(self, owner: Address) -> AttoFil:
        # More than there is of FIL is a lie or a devnet's joke: shown as the most that an amount can be.
        return AttoFil(min(await self._number("eth_getBalance", owner, "latest"), 2**96 - 1))

    async def count(self, owner: Address, when: str = "latest") -> int:
        """How many transactions an account has made: the next nonce. `pending` counts those that wait, too."""
        return await self._number("eth_getTransactionCount", owner, when)

    async def head(self) -> int:
        """The newest block whose outcome is known: on Filecoin one before the newest that there is."""
        return await self._number("eth_blockNumber")

    async def header(self, block: int | str) -> Header | None:
        """A block by its number or tag; None for one that isn't there, such as an epoch without blocks."""
        try:
            raw = await self.rpc.call("eth_getBlockByNumber", hex(block) if isinstance(block, int) else block, False)
        except NodeError as error:
            if is_null_round(error):
                return None
            raise complaint(error, self.rpc.place, None) from None
        if raw is None:
            return None
        found = self._fields(raw)
        return Header(
            number=self._quantity(found.get("number")),
            hash=self._word(found.get("hash")),
            parent=self._word(found.get("parentHash")),
            time=self._quantity(found.get("timestamp")),
            base_fee=self._quantity(found.get("baseFeePerGas", "0x0")),
            gas_limit=self._quantity(found.get("gasLimit", "0x0")),
        )

    async def at_or_before(self, block: int, least: int = 0) -> Header | None:
        """The block of this number, or the last before it, down to `least`: some epochs have none, 20 at most."""
        for number in range(block, max(least - 1, block - _MOST_EMPTY, -1), -1):
            found = await self.header(number)
            if found is not None:
                if found.number != number:
                    raise self.nonsense("another block than was asked for")
                return found
        return None

    async def latest(self) -> Header:
        found = await self.header("latest")
        if found is None:
            raise self.nonsense("no latest block")
        return found

    async def final(self, head: int) -> int:
        """The newest block that counts as final: so many epochs back, or what the node says is final (F3), if newer."""
        depth = max(0, head - self.finality)
        if self.finality == 0:
            return depth
        try:
            found = await self.header("finalized")
        except Unavailable:
            return depth  # a node that doesn't know the tag
        return max(depth, found.number) if found is not None and found.number <= head else depth

    async def receipt(self, tx: str) -> Landed | None:
        """Where a transaction is; None when it is in no block that the node knows."""
        raw = await self.ask("eth_getTransactionReceipt", tx)
        if raw is None:
            return None
        found = self._fields(raw)
        gas = self._quantity(found.get("gasUsed"))
        made = found.get("contractAddress")
        return Landed(
            tx=self._word(found.get("transactionHash")),
            block=self._quantity(found.get("blockNumber")),
            block_hash=self._word(found.get("blockHash")),
            gas=gas,
            fee=gas * self._quantity(found.get("effectiveGasPrice", "0x0")),
            ok=self._quantity(found.get("status")) == 1,
            contract=made if isinstance(made, str) else "",
        )

    async def quantity(self, method: str, *params: Any) -> int:
        return await self._number(method, *params)

    async def ask(self, method: str, *params: Any) -> Any:
        """A read's result. Raises Refused with the contract's words for a revert, Unavailable else."""
        try:
            return await self.rpc.call(method, *params)
        except NodeError as error:
            raise complaint(error, self.rpc.place, None) from None

    async def close(self) -> None:
        await self.rpc.close()

    def nonsense(self, what: str) -> Unavailable:
        return Unavailable(f"the node at {self.rpc.place} answers with nonsense ({what[:80]})", "use another node")

    async def _number(self, method: str, *params: Any) -> int:
        return self._quantity(await self.ask(method, *params))

    def _quantity(self, raw: object) -> int:
        if isinstance(raw, str) and raw.startswith("0x") and len(raw) <= 66:
            try:
                return int(raw, 16)
            except ValueError:
                pass
        raise self.nonsense("no number")

    def _word(self, raw: object) -> str:
        if isinstance(raw, str) and len(raw) == 66 and len(self._hex(raw)) == 32:
            return raw.lower()
        raise self.nonsense("no hash")

    def _hex(self, raw: object) -> bytes:
        if isinstance(raw, str) and raw.startswith("0x"):
            try:
                return bytes.fromhex(raw[2:])
            except ValueError:
                pass
        raise self.nonsense("no bytes")

    def _fields(self, raw: object) -> dict[str, Any]:
        if not isinstance(raw, dict):
            raise self.nonsense("no object")
        return raw


def no_contract(place: str) -> ConfigError:
    return ConfigError(f"Shale's contracts are not on the chain at {place}", "run shale chain deploy")
