"""MemoryChain: the contracts' rules without a chain, for tests; the wallets of one MemoryWorld meet there."""

from __future__ import annotations

from collections.abc import Sequence

from shale.chain.chain import Deployment, LeaseRecord, ProviderRecord, Receipt, Shard
from shale.chain.world import MemoryWorld, ProofChecker
from shale.errors import ConfigError, Refused
from shale.market.order import Acceptance, Confirmation, End, Order
from shale.market.review import Review, Standing
from shale.payments.batch import Operation, Proof
from shale.units import Address, AttoFil, LeaseId

__all__ = ["MemoryChain", "MemoryWorld", "ProofChecker"]


class MemoryChain:
    """A Chain as one wallet, or none, sees the world. Transactions cost no gas."""

    def __init__(self, world: MemoryWorld, account: Address | None = None) -> None:
        self._world = world
        self._account = account

    def __repr__(self) -> str:
        return f"MemoryChain({self._account or 'no wallet'})"

    @property
    def deployment(self) -> Deployment:
        return self._world.deployment

    @property
    def account(self) -> Address | None:
        return self._account

    async def check(self) -> None:
        """Always there."""

    async def wallet_balance(self, owner: Address) -> AttoFil:
        return self._world.wallets[owner]

    async def ledger_balance(self, owner: Address) -> AttoFil:
        return self._world.balances[owner]

    async def deposit(self, amount: AttoFil) -> Receipt:
        me, wallets = self._self(), self._world.wallets
        if amount > wallets[me]:
            raise ConfigError(f"the wallet {me} has {wallets[me]}, needs {amount} and gas", "fund it")
        wallets[me] -= amount
        self._world.balances[me] += amount
        return self._world.receipt()

    async def withdraw(self, amount: AttoFil) -> Receipt:
        me = self._self()
        self._world.debit(me, amount)
        self._world.wallets[me] += amount
        return self._world.receipt()

    async def register(self, miner: int, endpoint: str, host_key: str, offer: str, payout: Address) -> Receipt:
        self._world.registry.register(self._self(), miner, endpoint, host_key, offer, payout)
        return self._world.receipt()

    async def retire(self) -> Receipt:
        self._world.registry.retire(self._self())
        return self._world.receipt()

    async def providers(self) -> list[ProviderRecord]:
        return self._world.registry.active()

    async def provider(self, operator: Address) -> ProviderRecord | None:
        return self._world.registry.get(operator)

    async def open_lease(
        self,
        order: Order,
        order_signature: str,
        acceptance: Acceptance,
        acceptance_signature: str,
        confirmation: Confirmation,
        confirmation_signature: str,
    ) -> Receipt:
        self._self()
        signing = self._world.signing
        signing.check(order, order_signature, order.client)
        signing.check(acceptance, acceptance_signature, order.provider)
        signing.check(confirmation, confirmation_signature, order.client)
        await self._world.open_lease(order, acceptance, confirmation)
        return self._world.receipt()

    async def end_lease(self, end: End, signature: str) -> Receipt:
        self._self()
        self._world.end_lease(end, signature)
        return self._world.receipt()

    async def lease(self, lease: LeaseId) -> LeaseRecord | None:
        return self._world.leases.get(lease)

    async def order_nonce_used(self, client: Address, nonce: int) -> bool:
        return (client, nonce) in self._world.nonces

    async def shard(self, provider: Address) -> Shard:
        return await self._world.shard(provider)

    async def verifying_key_hash(self) -> str:
        return self._world.vk_hash

    async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
        await self._world.settle(self._self(), provider, operations, proof)
        return self._world.receipt()

    async def collect(self, provider: Address) -> Receipt:
        if provider != self._self():
            raise Refused(f"only {provider} itself collects what it is owed", "use the operator's wallet")
        await self._world.collect(provider)
        return self._world.receipt()

    async def review(self, review: Review) -> Receipt:
        self._world.review(self._self(), review)
        return self._world.receipt()

    async def standing(self, provider: Address) -> Standing:
        return self._world.standings.get(provider, Standing(0, 0, 0))

    async def close(self) -> None:
        """Nothing to let go of."""

    def _self(self) -> Address:
        if self._account is None:
            raise ConfigError("there is no wallet to send from", "make one (shale wallet new)")
        return self._account
