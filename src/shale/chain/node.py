"""Node: web3 over our bounded RPC, its errors in our terms; the only place that sends transactions."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from eth_account.signers.local import LocalAccount
from hexbytes import HexBytes
from web3 import AsyncWeb3
from web3.contract import AsyncContract
from web3.exceptions import (
    BadFunctionCallOutput,
    ContractLogicError,
    TransactionNotFound,
    Web3Exception,
    Web3RPCError,
)
from web3.providers.async_base import AsyncJSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse, TxParams, TxReceipt, Wei

from shale.chain.abi import artifact
from shale.chain.chain import Receipt
from shale.chain.reverts import refusal
from shale.chain.rpc import Rpc
from shale.errors import ConfigError, Refused, Unavailable
from shale.units import Address, AttoFil, format_fil
from shale.wire import read_json

RECEIPT_SECONDS = 600.0
"""How long a transaction may take into a block: 20 epochs of Filecoin."""
MAX_FEE = AttoFil(2 * 10**18)
"""What a transaction may cost at most, so that no node talks us into burning the wallet."""
_ATTEMPTS = 10


class BoundedProvider(AsyncJSONBaseProvider):
    """web3's way to the node: our Rpc, and no fetching of URLs that a contract names (EIP-3668)."""

    global_ccip_read_enabled = False

    def __init__(self, rpc: Rpc) -> None:
        super().__init__()
        self._rpc = rpc

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        raw = await self._rpc.post(self.encode_rpc_request(method, params))
        try:
            answer = read_json(raw)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not ("result" in answer or "error" in answer):
            raise Unavailable(f"what answers at {self._rpc.place} is not a chain's node", "check the RPC URL")
        return cast(RPCResponse, answer)


class Node:
    """A chain as one wallet, or none, uses it."""

    def __init__(self, rpc_url: str, chain_id: int, account: LocalAccount | None) -> None:
        self.rpc = Rpc(rpc_url)
        self.chain_id = chain_id
        self.account = account
        self._web3 = AsyncWeb3(BoundedProvider(self.rpc), middleware=[])
        self._nonce = asyncio.Lock()
        self._checked = False

    def __repr__(self) -> str:
        return f"Node({self.rpc.place}, chain {self.chain_id}, {self.sender or 'no wallet'})"

    @property
    def sender(self) -> Address | None:
        return Address(self.account.address) if self.account else None

    def contract(self, name: str, address: Address) -> AsyncContract:
        """The contract with its functions; results with several fields come with their names."""
        made = self._web3.eth.contract(address=cast(Any, address), abi=artifact(name).abi, decode_tuples=True)
        return cast(AsyncContract, made)

    def constructor(self, name: str, *arguments: Address) -> str:
        """The data of the transaction that deploys the contract."""
        found = artifact(name)
        made = self._web3.eth.contract(abi=found.abi, bytecode=cast(Any, found.bytecode))
        return str(made.constructor(*arguments).data_in_transaction)

    async def check_chain(self) -> None:
        """Raise ConfigError unless the node is on our chain; asked once."""
        if self._checked:
            return
        with self.translated():
            found = int(await self._web3.eth.chain_id)
        if found != self.chain_id:
            raise ConfigError(
                f"the node at {self.rpc.place} is on chain {found}, the network says {self.chain_id}",
                "correct the network's RPC URL (shale network add)",
            )
        self._checked = True

    async def has_code(self, address: Address) -> bool:
        with self.translated():
            return len(await self._web3.eth.get_code(cast(Any, address))) > 0

    async def balance(self, owner: Address) -> AttoFil:
        with self.translated():
            return AttoFil(int(await self._web3.eth.get_balance(cast(Any, owner))))

    async def read(self, call: Any) -> Any:
        """The result of a contract's view function, as `contract(…).functions.name(…)` gives it."""
        await self.check_chain()
        with self.translated():
            return await call.call()

    async def transact(self, to: Address | None, data: str, value: int = 0) -> TxReceipt:
        """Send a transaction and return its receipt when it is in a block and succeeded.

        Concurrent sends of this Node get nonces in order. Raises Refused with the contract's reason, before
        anything is sent where the node can foresee it; ConfigError for an unfunded wallet; Unavailable else.
        An Unavailable that names a transaction means that it was sent, and may still come into a block.
        """
        if self.account is None:
            raise ConfigError("there is no wallet to send from", "make one (shale wallet new)")
        await self.check_chain()
        draft: TxParams = {
            "from": cast(Any, self.account.address),
            "data": cast(Any, data),
            "value": cast(Any, value),
        }
        if to is not None:
            draft["to"] = cast(Any, to)
        with self.translated():
            await self._check_funds(value)
            priced = await self._priced(draft)
            sent = await self._submit(self.account, priced)
        return await self._landed(sent, draft)

    async def close(self) -> None:
        await self.rpc.close()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn web3's errors into ours."""
        try:
            yield
        except ContractLogicError as error:
            raise refusal(error.data) from None
        except BadFunctionCallOutput:
            raise no_contract(self.rpc.place) from None
        except Web3RPCError as error:
            raise self._complaint(error) from None
        except (Web3Exception, ValueError, TypeError, KeyError) as error:
            raise Unavailable(
                f"the node at {self.rpc.place} answers with nonsense ({type(error).__name__})",
                "use another node",
            ) from None

    def _complaint(self, error: Web3RPCError) -> Exception:
        raw = (error.rpc_response or {}).get("error")
        text = str(raw.get("message") if isinstance(raw, dict) else raw or error)[:2000]
        if "revert" in text.lower() and "0x" in text:
            return refusal(text)
        if "insufficient funds" in text.lower() or "not enough funds" in text.lower():
            return ConfigError(
                f"the wallet {self.sender} can't pay for the transaction's gas",
                "fund it (shale wallet balance)",
            )
        line = "".join(char if char.isprintable() else " " for char in text[:200])
        return Unavailable(f"the node at {self.rpc.place} says no ({line})", "try again, or use another node")

    async def _check_funds(self, needed: int) -> None:
        have = int(await self._web3.eth.get_balance(cast(Any, self.sender)))
        if have < needed or have == 0:
            more = "its gas" if needed == 0 else f"{format_fil(AttoFil(needed))} and gas"
            raise ConfigError(f"the wallet {self.sender} has {format_fil(AttoFil(have))}, needs {more}", "fund it")

    async def _priced(self, draft: TxParams) -> TxParams:
        """The draft with gas (and a quarter more, since state moves until it lands) and EIP-1559 fees."""
        eth = self._web3.eth
        gas = int(await eth.estimate_gas(draft)) * 5 // 4
        tip = int(await eth.max_priority_fee)
        base = int((await eth.get_block("latest")).get("baseFeePerGas", 0))
        fee = 2 * base + tip
        if gas * fee > MAX_FEE.value:
            raise Unavailable(
                f"the transaction's gas may cost {gas * fee / 10**18:.3f} FIL, over the limit of {MAX_FEE}",
                "try again when the chain is less busy",
            )
        await self._check_funds(int(draft["value"]) + gas * fee)
        return {
            **draft,
            "gas": gas,
            "maxFeePerGas": cast(Wei, fee),
            "maxPriorityFeePerGas": cast(Wei, tip),
            "chainId": self.chain_id,
            "type": 2,
        }

    async def _submit(self, account: LocalAccount, priced: TxParams) -> HexBytes:
        async with self._nonce:
            for attempt in range(_ATTEMPTS):
                count = await self._web3.eth.get_transaction_count(cast(Any, account.address), "pending")
                signed = account.sign_transaction(cast(Any, {**priced, "nonce": count}))
                try:
                    return await self._web3.eth.send_raw_transaction(signed.raw_transaction)
                except Web3RPCError as error:
                    # Another process of this wallet was faster: its transaction has our nonce, ours is not taken.
                    if attempt + 1 == _ATTEMPTS or not _nonce_is_taken(str(error)):
                        raise
                # Apart from each other by chance, or both would go on colliding.
                await asyncio.sleep(random.uniform(0, 0.02 * (attempt + 1)))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _landed(self, sent: HexBytes, draft: TxParams) -> TxReceipt:
        pause = 0.02
        try:
            async with asyncio.timeout(RECEIPT_SECONDS):
                while True:
                    receipt = await self._receipt(sent)
                    if receipt is not None:
                        break
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, 2.0)
        except TimeoutError:
            raise Unavailable(
                f"transaction {sent.to_0x_hex()} is not in a block after {RECEIPT_SECONDS:g} s",
                "look whether it lands before you repeat it",
            ) from None
        if receipt["status"] == 1:
            return receipt
        with self.translated():  # ask once more for the reason
            await self._web3.eth.call(draft, receipt["blockNumber"])
        raise Refused(f"transaction {sent.to_0x_hex()} failed in block {receipt['blockNumber']}", "try again")

    async def _receipt(self, sent: HexBytes) -> TxReceipt | None:
        """The receipt, or None: the transaction is sent, so a node that is silent now doesn't undo it."""
        try:
            return await self._web3.eth.get_transaction_receipt(sent)
        except (TransactionNotFound, Web3RPCError, Unavailable):
            return None


def receipt_of(raw: TxReceipt) -> Receipt:
    return Receipt(HexBytes(raw["transactionHash"]).to_0x_hex(), int(raw["blockNumber"]), int(raw["gasUsed"]))


def no_contract(place: str) -> ConfigError:
    return ConfigError(f"Shale's contracts are not on the chain at {place}", "run shale chain deploy")


def _nonce_is_taken(text: str) -> bool:
    lowered = text.lower()
    return any(sign in lowered for sign in ("nonce too low", "underpriced", "already known", "already imported"))
