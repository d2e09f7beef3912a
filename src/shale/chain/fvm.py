"""FvmChain: the contracts on any FEVM node, as one wallet (or none) sees them (docs/protocol.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shale.chain.abi import Contract, artifact
from shale.chain.chain import (
    Deployment,
    Heads,
    LeaseRecord,
    OnLedger,
    Opening,
    OrderStage,
    ProviderRecord,
    Receipt,
    ReviewRecord,
    Shard,
)
from shale.chain.database import Database
from shale.chain.erc1271 import is_signed
from shale.chain.fees import MAX_FEE
from shale.chain.intents import Purpose
from shale.chain.node import Landed, Node, no_contract
from shale.chain.outbox import Outbox
from shale.chain.records import lease_record, opening_of, provider_record, shard_of, standing_of
from shale.chain.reviews import ReviewReader
from shale.chain.sender import Sender
from shale.chain.shards import ShardReader
from shale.chain.transactions import Draft
from shale.chain.verifiers import check_verifiers
from shale.errors import ConfigError, InputRefused, Refused
from shale.market.accounts import Signer
from shale.market.order import Acceptance, Confirmation, End, Order
from shale.market.review import Review, Standing
from shale.market.signing import SigningDomain, words
from shale.payments.batch import Batch, Operation, Proof
from shale.payments.history import ShardHistory
from shale.payments.words import check_batch, hex_word, pack_operations
from shale.units import ZERO, Address, AttoFil, LeaseId, checked_address, lease_id_of

MAX_PROVIDERS = 10_000
"""How much of the registry is read at most, from each of its ends: anyone can fill it."""
_PAGE = 100


class FvmChain:
    """A Chain over JSON-RPC.

    `database` keeps the wallet's transactions and the events that were read; without it they last as long as this.
    `checked` is where `check` notes that the verifiers are the circuit's; without it they are compared each time.
    """

    def __init__(
        self,
        deployment: Deployment,
        rpc_url: str,
        account: Signer | None,
        *,
        database: Path | None = None,
        finality: int | None = None,
        max_gas_fee: AttoFil | None = None,
        checked: Path | None = None,
    ) -> None:
        self._checked = checked
        self._deployment = deployment
        self._node = Node(rpc_url, deployment.chain_id, finality)
        self._database = Database(database)
        self._account = checked_address(account.address) if account else None
        self._sender = None
        if account:
            outbox = Outbox(self._database, deployment.chain_id, checked_address(account.address))
            limit = MAX_FEE if max_gas_fee is None else max_gas_fee
            self._sender = Sender(self._node, account, outbox, max_fee=limit)
        self._domain = SigningDomain(deployment.chain_id, deployment.market)
        self._registry = Contract(deployment.registry, artifact("Registry"))
        self._market = Contract(deployment.market, artifact("Market"))
        self._ledger = Contract(deployment.ledger, artifact("Ledger"))
        self._shards = ShardReader(self._node, self._database, self._ledger, deployment.block)
        self._reviews = ReviewReader(self._node, self._database, self._market, deployment.block)

    def __repr__(self) -> str:
        return f"FvmChain({self._node!r}, {self._account or 'no wallet'})"

    @property
    def deployment(self) -> Deployment:
        return self._deployment

    @property
    def account(self) -> Address | None:
        return self._account

    async def check(self) -> None:
        await self._node.check_chain()
        places = self._deployment
        addresses = (places.registry, places.market, places.ledger, *places.verifiers)
        # At once: each answer of a node far away takes its time.
        if not all(await asyncio.gather(*(self._node.has_code(address) for address in addresses))):
            raise no_contract(self._node.rpc.place)
        if await self._node.read(self._market, "ledger") != places.ledger:
            raise ConfigError("the network's market has another ledger", "correct it (shale network add)")
        await check_verifiers(self._node, self._ledger, places, self._checked)

    async def wallet_balance(self, owner: Address) -> AttoFil:
        return await self._node.balance(owner)

    async def ledger_balance(self, owner: Address) -> AttoFil:
        return AttoFil(await self._node.read(self._ledger, "balanceOf", owner))

    async def deposit(self, amount: AttoFil, owner: Address | None = None, *, by_itself: bool = False) -> Receipt:
        purpose = self._moved("deposit", amount, by_itself)
        if owner is not None:
            return await self._send(self._ledger, "depositFor", owner, value=amount, purpose=purpose)
        return await self._send(self._ledger, "deposit", value=amount, purpose=purpose)

    async def withdraw(self, amount: AttoFil, *, by_itself: bool = False) -> Receipt:
        purpose = self._moved("withdrawal", amount, by_itself)
        return await self._send(self._ledger, "withdraw", amount.value, purpose=purpose)

    async def register(self, miner: int, endpoint: str, host_key: str, offer: str, payout: Address) -> Receipt:
        found = await self.provider(self._self())
        if found is None or not found.active:
            return await self._send(self._registry, "register", miner, endpoint, host_key, offer, payout)
        if miner not in (0, found.miner):
            await self._send(self._registry, "bindMiner", miner)
        return await self._send(self._registry, "update", endpoint, host_key, offer, payout)

    async def retire(self) -> Receipt:
        return await self._send(self._registry, "retire")

    async def bind_miner(self, miner: int) -> Receipt:
        return await self._send(self._registry, "bindMiner", miner)

    async def revoke(self, miner: int, operator: Address) -> Receipt:
        return await self._send(self._registry, "revoke", miner, operator)

    async def authorize(self, miner: int, operator: Address) -> Receipt:
        return await self._send(self._registry, "authorize", miner, operator)

    async def recheck(self, operator: Address) -> Receipt:
        return await self._send(self._registry, "recheck", operator)

    async def providers(self) -> list[ProviderRecord]:
        count = await self._node.read(self._registry, "count")
        pages = [await self._node.read(self._registry, "page", at, size) for at, size in pages_of(count)]
        records = (provider_record(raw) for page in pages for raw in page)
        return [record for record in records if record is not None and record.active]

    async def provider(self, operator: Address) -> ProviderRecord | None:
        return provider_record(await self._node.read(self._registry, "providerOf", operator))

    async def open_lease(
        self,
        order: Order,
        order_signature: str,
        acceptance: Acceptance,
        acceptance_signature: str,
        confirmation: Confirmation,
        confirmation_signature: str,
    ) -> Receipt:
        opening = Opening(
            order, order_signature, acceptance, acceptance_signature, confirmation, confirmation_signature
        )
        return await self._send(self._market, "openLease", *opening_of(opening))

    async def open_leases(self, openings: Sequence[Opening]) -> Receipt:
        return await self._send(self._market, "openLeases", [opening_of(opening) for opening in openings])

    async def would_open(self, openings: Sequence[Opening]) -> None:
        data = self._market.function("openLeases").call([[opening_of(opening) for opening in openings]])
        call = {"from": self._self(), "to": self._market.address, "data": data}
        await self._node.ask("eth_call", call, "latest")

    async def create_order(self, order: Order) -> Receipt:
        return await self._send(self._market, "createOrder", words(order))

    async def cancel_order(self, order: Order) -> Receipt:
        return await self._send(self._market, "cancelOrder", words(order))

    async def accept_order(self, order: Order, acceptance: Acceptance) -> Receipt:
        return await self._send(self._market, "acceptOrder", words(order), words(acceptance))

    async def confirm_order(self, order: Order, acceptance: Acceptance) -> Receipt:
        return await self._send(self._market, "confirmOrder", words(order), words(acceptance))

    async def order_stage(self, lease: LeaseId) -> OrderStage:
        found = (await self._node.read(self._market, "leaseOf", int(lease, 16))).state
        if found not in list(OrderStage):
            raise self._node.nonsense("an unknown state of an order")
        return OrderStage(found)

    async def top_up(self, order: Order, extra_seconds: int) -> Receipt:
        value = ZERO if self._self() == order.client else order.price.over(extra_seconds)
        purpose = self._top_up(order, extra_seconds)
        return await self._send(self._market, "topUp", words(order), extra_seconds, value=value, purpose=purpose)

    async def check_top_up(self, order: Order) -> None:
        """Raise MadeBefore when a command that ended before it knew has topped this lease up (Sender.check_new)."""
        await self._wallet().check_new(self._top_up(order, 0))

    async def tell_top_ups(self, order: Order) -> None:
        """Count this lease's top-ups by commands that ended before they knew as known: another may be made."""
        await self._wallet().tell_earlier(self._top_up(order, 0))

    async def tell_deposits(self) -> None:
        await self._wallet().tell_earlier(self._moved("deposit", ZERO))

    async def tell_withdrawals(self) -> None:
        await self._wallet().tell_earlier(self._moved("withdrawal", ZERO))

    async def end_lease(self, end: End, signature: str) -> Receipt:
        lease = await self.lease(lease_id_of(end.order))
        if lease is None:
            raise Refused("the lease is not on chain", "there is nothing to end there")
        signer = lease.client
        try:
            self._domain.check(end, signature, lease.provider)
            signer = lease.provider
        except InputRefused:
            pass  # then it must be the client's, who may be a contract: the Market asks it (ERC-1271)
        return await self._send(self._market, "endLeaseSigned", words(end), signer, signature)

    async def lease(self, lease: LeaseId) -> LeaseRecord | None:
        number = int(lease, 16)
        held = await self._node.read(self._ledger, "leaseOf", number)
        return lease_record(await self._node.read(self._market, "leaseOf", number), held)

    async def final_deposit(self, lease: LeaseId, heads: Heads) -> AttoFil:
        if heads.final < self._deployment.block:
            return ZERO
        held = await self._node.read(self._ledger, "leaseOf", int(lease, 16), block=heads.final)
        return AttoFil(held.deposit)

    async def too_late(self, lease: LeaseId, deadline: int, heads: Heads) -> bool:
        final = await self._node.at_or_before(heads.final)
        if final is None or final.time <= deadline or final.number < self._deployment.block:
            return False
        held = await self._node.read(self._ledger, "leaseOf", int(lease, 16), block=final.number)
        return OnLedger(held.state) is OnLedger.NONE

    async def order_nonce_used(self, client: Address, nonce: int) -> bool:
        return bool(await self._node.read(self._market, "isNonceUsed", client, nonce))

    async def contract_signed(self, signer: Address, digest: str, signature: str) -> bool:
        return await is_signed(self._node, self._deployment.market, signer, digest, signature)

    async def shard(self, provider: Address) -> Shard:
        return shard_of(await self._node.read(self._ledger, "shardOf", provider))

    async def demanded_root(self, lease: LeaseId) -> str | None:
        root = await self._node.read(self._ledger, "demandedRootOf", int(lease, 16))
        return hex_word(root) if root else None

    async def shard_history(self, provider: Address, root: str | None = None) -> ShardHistory:
        return await self._shards.history(provider, root)

    async def forget_history(self, provider: Address, root: str | None = None) -> None:
        await self._shards.forget(provider, root)

    async def keys_hash(self) -> str:
        found: bytes = await self._node.read(self._ledger, "verifyingKeysHash")
        return "0x" + found.hex()

    async def heads(self) -> Heads:
        head = await self._node.latest()
        return Heads(head.number, head.time, await self._node.final(head.number))

    async def gas_price(self) -> AttoFil:
        return AttoFil(await self._node.quantity("eth_gasPrice"))

    async def receipt(self, tx: str) -> Receipt | None:
        landed = await self._node.receipt(tx)
        return _receipt(landed) if landed is not None and landed.ok else None

    async def waiting(self) -> int:
        """How many of this wallet's transactions were sent and are in no block, an earlier process's too."""
        return await self._sender.waiting() if self._sender else 0

    async def wait_final(self, receipt: Receipt) -> Receipt:
        """Return when a transaction of this wallet can't be taken back by a reorganisation any more.

        It may then be in another block than at first, under another hash.
        """
        return _receipt(await self._wallet().wait_final(receipt.tx))

    async def take_up(self, *, to_send: bool) -> None:
        await self._wallet().take_up(None if to_send else self._lowers_balance)

    async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
        batch = Batch(proof.size, proof.window, tuple(operations))
        check_batch(batch)
        return await self._send(
            self._ledger,
            "settle",
            provider,
            proof.window,
            proof.size,
            int(proof.old_root, 16),
            int(proof.new_root, 16),
            proof.earned.value,
            pack_operations(batch),
            int(proof.c, 16),
            [int(word, 16) for word in proof.proof],
        )

    async def refund(self, leases: Sequence[LeaseId]) -> Receipt:
        return await self._send(self._ledger, "refund", [int(lease, 16) for lease in leases])

    async def demand_close(self, lease: LeaseId) -> Receipt:
        return await self._send(self._ledger, "demandClose", int(lease, 16))

    async def collect(self, provider: Address) -> Receipt:
        if provider != self._self():
            raise Refused(f"only {provider} itself collects what it is owed", "use the operator's wallet")
        return await self._send(self._ledger, "collect")

    async def review(self, order: Order, review: Review) -> Receipt:
        return await self._send(self._market, "review", words(order), review.stars, review.comment)

    async def review_signed(self, order: Order, review: Review, signature: str) -> Receipt:
        return await self._send(self._market, "reviewSigned", words(order), words(review), signature)

    async def reviews(self, provider: Address, most: int) -> list[ReviewRecord]:
        return await self._reviews.newest(provider, most)

    async def standing(self, provider: Address) -> Standing:
        return standing_of(await self._node.read(self._market, "ratingOf", provider))

    async def close(self) -> None:
        if self._sender:
            await self._sender.close()
        await self._node.close()
        self._database.close()

    def _self(self) -> Address:
        return self._wallet().address

    def _wallet(self) -> Sender:
        if self._sender is None:
            raise ConfigError("there is no wallet to send from", "make one (shale wallet new)")
        return self._sender

    async def _send(
        self, contract: Contract, function: str, *arguments: Any, value: AttoFil = ZERO, purpose: Purpose | None = None
    ) -> Receipt:
        data = bytes.fromhex(contract.function(function).call(arguments)[2:])
        purpose = purpose or Purpose(function)
        return _receipt(await self._wallet().transact(contract.address, data, value.value, purpose))

    def _moved(self, what: str, amount: AttoFil, by_itself: bool = False) -> Purpose:
        """Of money that moves: a command that is repeated after a kill must not move it twice unasked."""
        return Purpose(f"{what} of {amount}", "" if by_itself else f"{what} {self._deployment.ledger}")

    def _lowers_balance(self, draft: Draft) -> bool:
        lowering = ((self._ledger, "withdraw"), (self._market, "topUp"), (self._market, "confirmOrder"))
        return any(
            draft.to == contract.address and draft.data[:4] == contract.function(name).selector
            for contract, name in lowering
        )

    def _top_up(self, order: Order, seconds: int) -> Purpose:
        lease = lease_id_of(self._domain.order_hash(order))
        return Purpose(f"top-up of {seconds} s for the lease {lease[:14]}…", f"top-up {lease}")


def pages_of(count: int, most: int = MAX_PROVIDERS) -> list[tuple[int, int]]:
    """The registry's pages to read, as offsets and sizes: the oldest records and the newest, so many of each."""
    ranges = [(0, count)] if count <= 2 * most else [(0, most), (count - most, count)]
    return [(at, min(_PAGE, end - at)) for start, end in ranges for at in range(start, end, _PAGE)]


def _receipt(landed: Landed) -> Receipt:
    return Receipt(landed.tx, landed.block, landed.gas, AttoFil(min(landed.fee, 2**96 - 1)))
