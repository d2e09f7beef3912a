"""MemoryChain: the contracts' rules without a chain, for tests; the wallets of one MemoryWorld meet there."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from shale.chain.chain import (
    MAX_REVIEWS,
    Deployment,
    Heads,
    LeaseRecord,
    Opening,
    OrderStage,
    ProviderRecord,
    Receipt,
    ReviewRecord,
    Shard,
)
from shale.chain.world import MemoryWorld
from shale.chain.world_ledger import ProofChecker
from shale.errors import ConfigError, InputRefused, Refused, Unavailable
from shale.market.order import Acceptance, Confirmation, End, Order
from shale.market.review import Review, Standing
from shale.payments.batch import Operation, Proof
from shale.payments.history import ShardHistory
from shale.units import Address, AttoFil, LeaseId

__all__ = ["MemoryChain", "MemoryWorld", "ProofChecker"]


class MemoryChain:
    """A Chain as one wallet, or none, sees the world."""

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

    async def deposit(self, amount: AttoFil, owner: Address | None = None, *, by_itself: bool = False) -> Receipt:
        me, at, wallets = self._self(), self._world.moment(), self._world.wallets
        if amount > wallets[me]:
            raise ConfigError(f"the wallet {me} has {wallets[me]}, needs {amount} and gas", "fund it")
        wallets[me] -= amount
        self._world.balances[owner or me] += amount
        return self._world.receipt(me, at)

    async def withdraw(self, amount: AttoFil, *, by_itself: bool = False) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.state.ledger.debit(me, amount)
        self._world.wallets[me] += amount
        return self._world.receipt(me, at)

    async def register(self, miner: int, endpoint: str, host_key: str, offer: str, payout: Address) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.state.registry.register(me, miner, endpoint, host_key, offer, payout)
        return self._world.receipt(me, at)

    async def retire(self) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.state.registry.retire(me)
        return self._world.receipt(me, at)

    async def bind_miner(self, miner: int) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.state.registry.bind_miner(me, miner)
        return self._world.receipt(me, at)

    async def revoke(self, miner: int, operator: Address) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.state.registry.revoke(me, miner, operator)
        return self._world.receipt(me, at)

    async def authorize(self, miner: int, operator: Address) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.state.registry.authorize(me, miner, operator)
        return self._world.receipt(me, at)

    async def recheck(self, operator: Address) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.state.registry.recheck(operator)
        return self._world.receipt(me, at)

    async def providers(self) -> list[ProviderRecord]:
        return self._world.state.registry.active()

    async def provider(self, operator: Address) -> ProviderRecord | None:
        return self._world.state.registry.get(operator)

    async def open_lease(
        self,
        order: Order,
        order_signature: str,
        acceptance: Acceptance,
        acceptance_signature: str,
        confirmation: Confirmation,
        confirmation_signature: str,
    ) -> Receipt:
        return await self.open_leases(
            [
                Opening(
                    order,
                    order_signature,
                    acceptance,
                    acceptance_signature,
                    confirmation,
                    confirmation_signature,
                )
            ]
        )

    async def open_leases(self, openings: Sequence[Opening]) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._check_signatures(openings)
        await self._world.open_leases(openings, at)
        return self._world.receipt(me, at)

    async def would_open(self, openings: Sequence[Opening]) -> None:
        self._self()
        self._check_signatures(openings)
        trial = copy(self._world)  # of its own state, so that what goes on meanwhile is not undone
        trial.state = self._world.mark()
        await trial.open_leases(openings, self._world.moment())

    def _check_signatures(self, openings: Sequence[Opening]) -> None:
        check = self._world.check_signature
        for opening in openings:
            check(opening.order, opening.order_signature, opening.order.client)
            check(opening.acceptance, opening.acceptance_signature, opening.order.provider)
            check(opening.confirmation, opening.confirmation_signature, opening.order.client)

    async def create_order(self, order: Order) -> Receipt:
        me, at = self._self(), self._world.moment()
        await self._world.create_order(me, order, at)
        return self._world.receipt(me, at)

    async def cancel_order(self, order: Order) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.cancel_order(me, order)
        return self._world.receipt(me, at)

    async def accept_order(self, order: Order, acceptance: Acceptance) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.accept_order(me, order, acceptance, at)
        return self._world.receipt(me, at)

    async def confirm_order(self, order: Order, acceptance: Acceptance) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.confirm_order(me, order, acceptance, at)
        return self._world.receipt(me, at)

    async def order_stage(self, lease: LeaseId) -> OrderStage:
        return self._world.order_stage(lease)

    async def top_up(self, order: Order, extra_seconds: int) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.top_up(me, order, extra_seconds, at)
        return self._world.receipt(me, at)

    async def end_lease(self, end: End, signature: str) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.end_lease(end, signature, at)
        return self._world.receipt(me, at)

    async def lease(self, lease: LeaseId) -> LeaseRecord | None:
        return self._world.leases.get(lease)

    async def final_deposit(self, lease: LeaseId, heads: Heads) -> AttoFil:
        return self._world.state.ledger.deposit_at(lease, heads.final)

    async def too_late(self, lease: LeaseId, deadline: int, heads: Heads) -> bool:
        # Here blocks have no times of their own: all of them are of now.
        return lease not in self._world.leases and deadline < self._world.heads.time

    async def order_nonce_used(self, client: Address, nonce: int) -> bool:
        return (client, nonce) in self._world.state.nonces

    async def contract_signed(self, signer: Address, digest: str, signature: str) -> bool:
        try:
            self._world.check_contract(signer, digest, signature)
        except InputRefused:
            return False
        return True

    async def shard(self, provider: Address) -> Shard:
        return await self._world.state.ledger.shard(provider)

    async def demanded_root(self, lease: LeaseId) -> str | None:
        return self._world.state.ledger.demanded_roots.get(lease)

    async def shard_history(self, provider: Address, root: str | None = None) -> ShardHistory:
        ledger = self._world.state.ledger
        whole = ShardHistory(provider, self._world.heads.latest, ledger.events(provider))
        if root is None:
            return whole
        if (part := whole.at(root, await ledger.empty_root())) is None:
            raise Unavailable(f"no batch of {provider} led to the root {root}", "ask for one that the tree had")
        return part

    async def forget_history(self, provider: Address, root: str | None = None) -> None:
        """The world keeps each event, and nothing of what was read."""

    async def keys_hash(self) -> str:
        return self._world.keys_hash

    async def heads(self) -> Heads:
        return self._world.heads

    async def gas_price(self) -> AttoFil:
        return self._world.gas_price

    async def receipt(self, tx: str) -> Receipt | None:
        return self._world.state.receipts.get(tx)

    async def waiting(self) -> int:
        return 0

    async def take_up(self, *, to_send: bool) -> None:
        """Nothing ever waits here."""

    async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
        me, at = self._self(), self._world.moment()
        await self._world.settle(me, provider, operations, proof, at)
        return self._world.receipt(me, at)

    async def refund(self, leases: Sequence[LeaseId]) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.state.ledger.refund(me, leases, at)
        return self._world.receipt(me, at)

    async def demand_close(self, lease: LeaseId) -> Receipt:
        me, at = self._self(), self._world.moment()
        await self._world.state.ledger.demand(lease, at)
        return self._world.receipt(me, at)

    async def collect(self, provider: Address) -> Receipt:
        me, at = self._self(), self._world.moment()
        if provider != me:
            raise Refused(f"only {provider} itself collects what it is owed", "use the operator's wallet")
        self._world.collect(provider)
        return self._world.receipt(me, at)

    async def review(self, order: Order, review: Review) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.review(me, order, review, at)
        return self._world.receipt(me, at)

    async def review_signed(self, order: Order, review: Review, signature: str) -> Receipt:
        me, at = self._self(), self._world.moment()
        self._world.review_signed(order, review, signature, at)
        return self._world.receipt(me, at)

    async def reviews(self, provider: Address, most: int) -> list[ReviewRecord]:
        return self._world.state.reviews.get(provider, [])[: -min(most, MAX_REVIEWS) - 1 : -1]

    async def standing(self, provider: Address) -> Standing:
        return self._world.state.standings.get(provider, Standing(0, 0, 0))

    async def close(self) -> None:
        """Nothing to let go of."""

    def _self(self) -> Address:
        if self._account is None:
            raise ConfigError("there is no wallet to send from", "make one (shale wallet new)")
        return self._account
