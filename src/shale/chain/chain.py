"""Chain: the port to the contracts (docs/protocol.md, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shale.market.lease import EndReason
from shale.market.order import Acceptance, Confirmation, End, Order
from shale.market.review import Review, Standing
from shale.payments.batch import Operation, Proof
from shale.units import Address, AttoFil, LeaseId


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where Shale's contracts stand on one chain."""

    chain_id: int
    registry: Address
    market: Address
    ledger: Address
    verifier: Address
    block: int


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """A provider as the registry has it. `miner` 0 is not bound to a miner.

    `host_key` and `offer` are hashes, as `Chain.register` takes them.
    """

    operator: Address
    miner: int
    endpoint: str
    host_key: str
    offer: str
    payout: Address
    active: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction that is in a block and succeeded."""

    tx: str
    block: int
    gas: int


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A lease as the chain has it. `queued` is its place in the provider's deposit queue.

    `paid` and `seconds` are proven ones, final once `closed`.
    """

    client: Address
    provider: Address
    collateral: AttoFil
    queued: int
    ended_at: int
    end_reason: EndReason
    closed: bool
    paid: AttoFil
    seconds: int
    reviewed: bool


@dataclass(frozen=True, slots=True)
class Shard:
    """A provider's part of the ledger: deposits `head` to `tail - 1` wait for insertion; `owed` is due.

    `demanded` is the lease that the next batches must get closed.
    """

    root: str
    head: int
    tail: int
    owed: AttoFil
    demanded: LeaseId | None = None


class Chain(Protocol):
    """Every call that sends returns when the transaction is in a block and succeeded.

    Errors: `Refused` when a contract says no (its reason in words), `ConfigError` for a wrong chain id,
    missing contracts or an unfunded wallet, `Unavailable` when the node doesn't answer. Reads need no wallet.
    """

    @property
    def deployment(self) -> Deployment: ...

    @property
    def account(self) -> Address | None: ...

    async def check(self) -> None:
        """Raise ConfigError unless the node is on the deployment's chain and the contracts are there."""
        ...

    async def wallet_balance(self, owner: Address) -> AttoFil: ...

    async def ledger_balance(self, owner: Address) -> AttoFil: ...

    async def deposit(self, amount: AttoFil) -> Receipt: ...

    async def withdraw(self, amount: AttoFil) -> Receipt: ...

    async def register(self, miner: int, endpoint: str, host_key: str, offer: str, payout: Address) -> Receipt:
        """Write the provider's record, new or changed.

        `host_key` is the keccak of the gateway's key line, `offer` the offer's struct hash, both 0x-hex.
        `miner` 0 leaves the binding to a miner as it is.
        """
        ...

    async def retire(self) -> Receipt: ...

    async def providers(self) -> list[ProviderRecord]:
        """The active providers."""
        ...

    async def provider(self, operator: Address) -> ProviderRecord | None: ...

    async def open_lease(
        self,
        order: Order,
        order_signature: str,
        acceptance: Acceptance,
        acceptance_signature: str,
        confirmation: Confirmation,
        confirmation_signature: str,
    ) -> Receipt:
        """Anchor the three signatures in one transaction; it locks the client's collateral."""
        ...

    async def end_lease(self, end: End, signature: str) -> Receipt:
        """Anchor one party's signed End."""
        ...

    async def lease(self, lease: LeaseId) -> LeaseRecord | None: ...

    async def order_nonce_used(self, client: Address, nonce: int) -> bool: ...

    async def shard(self, provider: Address) -> Shard: ...

    async def verifying_key_hash(self) -> str:
        """The hash of the verifying key that proofs must be for (`Circuit.vk_hash`)."""
        ...

    async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt: ...

    async def collect(self, provider: Address) -> Receipt:
        """Pay what the ledger owes a provider to its payout address."""
        ...

    async def review(self, review: Review) -> Receipt: ...

    async def standing(self, provider: Address) -> Standing: ...

    async def close(self) -> None: ...
