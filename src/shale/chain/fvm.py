"""FvmChain: the contracts on any FEVM node, as one wallet (or none) sees them (docs/protocol.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_account.signers.local import LocalAccount
from web3.contract import AsyncContract

from shale.chain.chain import Deployment, LeaseRecord, ProviderRecord, Receipt, Shard
from shale.chain.node import Node, no_contract, receipt_of
from shale.chain.records import lease_record, ops, provider_record, shard_of
from shale.errors import ConfigError, InputRefused, Refused
from shale.market.order import Acceptance, Confirmation, End, Order
from shale.market.review import Review, Standing
from shale.market.signing import SigningDomain, words
from shale.payments.batch import Operation, Proof
from shale.units import Address, AttoFil, LeaseId, lease_id_of

MAX_PROVIDERS = 10_000
"""How much of the registry is read at most: anyone can fill it."""
_PAGE = 100


class FvmChain:
    """A Chain over JSON-RPC. Loading web3 takes a second: import this module only where it is used."""

    def __init__(self, deployment: Deployment, rpc_url: str, account: LocalAccount | None) -> None:
        self._deployment = deployment
        self._node = Node(rpc_url, deployment.chain_id, account)
        self._domain = SigningDomain(deployment.chain_id, deployment.market)
        self._registry = self._node.contract("Registry", deployment.registry)
        self._market = self._node.contract("Market", deployment.market)
        self._ledger = self._node.contract("Ledger", deployment.ledger)

    def __repr__(self) -> str:
        return f"FvmChain({self._node!r})"

    @property
    def deployment(self) -> Deployment:
        return self._deployment

    @property
    def account(self) -> Address | None:
        return self._node.sender

    async def check(self) -> None:
        await self._node.check_chain()
        places = self._deployment
        for address in (places.registry, places.market, places.ledger, places.verifier):
            if not await self._node.has_code(address):
                raise no_contract(self._node.rpc.place)
        if await self._node.read(self._market.functions.ledger()) != places.ledger:
            raise ConfigError("the network's market has another ledger", "correct it (shale network add)")

    async def wallet_balance(self, owner: Address) -> AttoFil:
        return await self._node.balance(owner)

    async def ledger_balance(self, owner: Address) -> AttoFil:
        return AttoFil(await self._node.read(self._ledger.functions.balanceOf(owner)))

    async def deposit(self, amount: AttoFil) -> Receipt:
        return await self._send(self._ledger, "deposit", [], value=amount)

    async def withdraw(self, amount: AttoFil) -> Receipt:
        return await self._send(self._ledger, "withdraw", [amount.value])

    async def register(self, miner: int, endpoint: str, host_key: str, offer: str, payout: Address) -> Receipt:
        shown = [endpoint, host_key, offer, payout]
        found = await self.provider(self._self())
        if found is None or not found.active:
            return await self._send(self._registry, "register", [miner, *shown])
        if miner not in (0, found.miner):
            await self._send(self._registry, "bindMiner", [miner])
        return await self._send(self._registry, "update", shown)

    async def retire(self) -> Receipt:
        return await self._send(self._registry, "retire", [])

    async def providers(self) -> list[ProviderRecord]:
        functions = self._registry.functions
        count = min(await self._node.read(functions.count()), MAX_PROVIDERS)
        pages = [await self._node.read(functions.page(at, _PAGE)) for at in range(0, count, _PAGE)]
        records = (provider_record(raw) for page in pages for raw in page)
        return [record for record in records if record is not None and record.active]

    async def provider(self, operator: Address) -> ProviderRecord | None:
        return provider_record(await self._node.read(self._registry.functions.providerOf(operator)))

    async def open_lease(
        self,
        order: Order,
        order_signature: str,
        acceptance: Acceptance,
        acceptance_signature: str,
        confirmation: Confirmation,
        confirmation_signature: str,
    ) -> Receipt:
        arguments = [
            words(order),
            order_signature,
            words(acceptance),
            acceptance_signature,
            words(confirmation),
            confirmation_signature,
        ]
        return await self._send(self._market, "openLease", arguments)

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
        return await self._send(self._market, "endLeaseSigned", [words(end), signer, signature])

    async def lease(self, lease: LeaseId) -> LeaseRecord | None:
        number = int(lease, 16)
        account = await self._node.read(self._ledger.functions.leaseOf(number))
        return lease_record(await self._node.read(self._market.functions.leaseOf(number)), account)

    async def order_nonce_used(self, client: Address, nonce: int) -> bool:
        return bool(await self._node.read(self._market.functions.isNonceUsed(client, nonce)))

    async def shard(self, provider: Address) -> Shard:
        return shard_of(await self._node.read(self._ledger.functions.shardOf(provider)))

    async def verifying_key_hash(self) -> str:
        return "0x" + bytes(await self._node.read(self._ledger.functions.verifyingKeyHash())).hex()

    async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
        arguments = [
            provider,
            int(proof.old_root, 16),
            int(proof.new_root, 16),
            ops(operations),
            int(proof.c, 16),
            [int(word, 16) for word in proof.proof],
        ]
        return await self._send(self._ledger, "settle", arguments)

    async def collect(self, provider: Address) -> Receipt:
        if provider != self._self():
            raise Refused(f"only {provider} itself collects what it is owed", "use the operator's wallet")
        return await self._send(self._ledger, "collect", [])

    async def review(self, review: Review) -> Receipt:
        return await self._send(self._market, "review", [int(review.lease, 16), review.stars, review.comment])

    async def standing(self, provider: Address) -> Standing:
        count, weight, stars = await self._node.read(self._market.functions.ratingOf(provider))
        return Standing(int(count), int(weight), int(stars))

    async def close(self) -> None:
        await self._node.close()

    def _self(self) -> Address:
        if self._node.sender is None:
            raise ConfigError("there is no wallet to send from", "make one (shale wallet new)")
        return self._node.sender

    async def _send(
        self, contract: AsyncContract, function: str, arguments: list[Any], value: AttoFil | None = None
    ) -> Receipt:
        data = contract.encode_abi(function, args=arguments)
        paid = value.value if value else 0
        return receipt_of(await self._node.transact(Address(contract.address), data, paid))
