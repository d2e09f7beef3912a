"""Chain: the port to the contracts (docs/protocol.md, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from shale.errors import Unavailable
from shale.market.lease import EndReason
from shale.market.order import Acceptance, Confirmation, End, Order
from shale.market.review import Review, Standing
from shale.payments.batch import Operation, Proof
from shale.payments.history import ShardHistory
from shale.units import ZERO, Address, AttoFil, LeaseId

MAINNET = 314
"""Filecoin's own chain, where money is real: development keys are refused there."""
MAX_REVIEWS = 1000
"""Of one provider that can be read: the newest."""


class TooDear(Unavailable):
    """A transaction's gas would cost more than the user allows: nothing was sent."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where Shale's contracts stand on one chain; `verifiers` in the order of `payments.batch.SIZES`."""

    chain_id: int
    registry: Address
    market: Address
    ledger: Address
    verifiers: tuple[Address, ...]
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
    """A transaction that is in a block and succeeded; `fee` is what its gas cost the sender."""

    tx: str
    block: int
    gas: int
    fee: AttoFil = ZERO


@dataclass(frozen=True, slots=True)
class Heads:
    """The chain's newest block and its time in Unix seconds, and the newest one that no reorganisation takes back."""

    latest: int
    time: int
    final: int


class OnLedger(IntEnum):
    """Where a lease stands in the ledger. LOCKED: its deposit is, but it has no leaf in the provider's tree."""

    NONE = 0
    LOCKED = 1
    INSERTED = 2
    CLOSED = 3


class OrderStage(IntEnum):
    """How far an order is on chain. OPEN: its deposit is locked, also after the ledger has closed it."""

    NONE = 0
    CREATED = 1
    ACCEPTED = 2
    OPEN = 3
    ENDED = 4
    CANCELLED = 5


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A lease as the chain has it.

    `opened_at` is when its deposit was locked, `overdue_at` when anyone may close it. `ended_at` is 0 unless a party's
    End is on chain; a close carries a reason too. `paid`, `seconds` and `closed_at` are written at the close: until
    then they are 0.
    """

    client: Address
    provider: Address
    deposit: AttoFil
    state: OnLedger
    overdue_at: int
    ended_at: int
    end_reason: EndReason
    closed: bool
    paid: AttoFil
    seconds: int
    reviewed: bool
    closed_at: int
    opened_at: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What a lease needs to be anchored: its three signed parts."""

    order: Order
    order_signature: str
    acceptance: Acceptance
    acceptance_signature: str
    confirmation: Confirmation
    confirmation_signature: str


@dataclass(frozen=True, slots=True)
class Shard:
    """A provider's part of the ledger: its tree's root, and what is owed to it.

    `demanded` is the lease that the next batch must close.
    """

    root: str
    owed: AttoFil
    demanded: LeaseId | None = None


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """A review as the chain has it; `at` is its block's time, in Unix seconds.

    `weight_seconds` and `paid` are what it weighs by; the comment is such as may be shown.
    """

    lease: LeaseId
    client: Address
    stars: int
    weight_seconds: int
    paid: AttoFil
    comment: str
    tx: str
    at: int


class Chain(Protocol):
    """Every call that sends returns when the transaction is in a block and succeeded.

    Errors: `Refused` when a contract says no (its reason in words), `ConfigError` for a wrong chain id,
    missing contracts or an unfunded wallet, `TooDear` when the gas costs more than is allowed, `Unavailable` when the
    node doesn't answer. Reads need no wallet.
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

    async def deposit(self, amount: AttoFil, owner: Address | None = None, *, by_itself: bool = False) -> Receipt:
        """From the wallet to its ledger balance, or to that of another `owner`, who alone can withdraw it then.

        `by_itself`: somebody's step on the way to something else, whose amount the balance gave (`take_up` before). It
        is not held back by an earlier deposit whose outcome nobody knows, nor holds a later one back.
        """
        ...

    async def withdraw(self, amount: AttoFil, *, by_itself: bool = False) -> Receipt:
        """From the ledger balance to the wallet. `by_itself` as for a deposit."""
        ...

    async def take_up(self, *, to_send: bool) -> None:
        """Return when what this wallet has sent, in earlier processes too, is in blocks.

        All that a new transaction would have to wait for (`to_send`), or only what lowers the wallet's ledger balance.
        """
        ...

    async def register(self, miner: int, endpoint: str, host_key: str, offer: str, payout: Address) -> Receipt:
        """Write the provider's record, new or changed.

        `host_key` is the keccak of the gateway's key line, `offer` the offer's struct hash, both 0x-hex.
        `miner` 0 leaves the binding to a miner as it is.
        """
        ...

    async def retire(self) -> Receipt: ...

    async def bind_miner(self, miner: int) -> Receipt:
        """Bind the registered operator to a miner that it, or who authorized it, controls; 0 unbinds."""
        ...

    async def revoke(self, miner: int, operator: Address) -> Receipt:
        """Take an authorization back, as who gave it or who controls the miner; it unbinds what it bound."""
        ...

    async def authorize(self, miner: int, operator: Address) -> Receipt:
        """Vouch, as who controls a miner, that `operator` acts for it."""
        ...

    async def recheck(self, operator: Address) -> Receipt:
        """Have the registry unbind an operator's miner if it isn't its any more."""
        ...

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

    async def open_leases(self, openings: Sequence[Opening]) -> Receipt:
        """Anchor several leases in one transaction: all of them or none."""
        ...

    async def would_open(self, openings: Sequence[Opening]) -> None:
        """Raise what `open_leases` would raise of these now. Nothing is sent."""
        ...

    async def create_order(self, order: Order) -> Receipt:
        """The client's order as a plain transaction, for a provider that it can't reach."""
        ...

    async def cancel_order(self, order: Order) -> Receipt:
        """Withdraw an order of the client's own; one that was never sent loses its nonce."""
        ...

    async def accept_order(self, order: Order, acceptance: Acceptance) -> Receipt: ...

    async def confirm_order(self, order: Order, acceptance: Acceptance) -> Receipt:
        """The client's confirmation: locks the deposit out of its ledger balance and opens the lease."""
        ...

    async def order_stage(self, lease: LeaseId) -> OrderStage:
        """How far the order of this lease id has come by plain transactions, or by signatures."""
        ...

    async def top_up(self, order: Order, extra_seconds: int) -> Receipt:
        """Raise a running lease's term and deposit by price x `extra_seconds`.

        The client's own comes out of its ledger balance, anybody else's out of the wallet.
        """
        ...

    async def end_lease(self, end: End, signature: str) -> Receipt:
        """Anchor one party's signed End."""
        ...

    async def lease(self, lease: LeaseId) -> LeaseRecord | None: ...

    async def final_deposit(self, lease: LeaseId, heads: Heads) -> AttoFil:
        """What no reorganisation takes out of a lease's deposit any more: its deposit in the final block."""
        ...

    async def too_late(self, lease: LeaseId, deadline: int, heads: Heads) -> bool:
        """Whether the chain never gets this lease: its final block is past the acceptance's deadline and has none.

        A node that is behind, or a reorganisation, can't make this true of a lease that is there.
        """
        ...

    async def order_nonce_used(self, client: Address, nonce: int) -> bool: ...

    async def contract_signed(self, signer: Address, digest: str, signature: str) -> bool:
        """Whether `signer` is a contract that says that this signature (0x-hex) of 32 bytes is its own (ERC-1271).

        It is asked as the Market asks it, but with bounds of gas, time and answer. Raises Unavailable without an answer
        in time.
        """
        ...

    async def shard(self, provider: Address) -> Shard: ...

    async def demanded_root(self, lease: LeaseId) -> str | None:
        """The root of its provider's tree when the lease's close was demanded; None if it was not.

        A batch of closes that were demanded at this root is taken on it, wherever the tree's root is by then.
        """
        ...

    async def shard_history(self, provider: Address, root: str | None = None) -> ShardHistory:
        """The provider's events since the deployment, in order: enough to rebuild its tree.

        With `root` those up to the last batch that led to it: enough to rebuild the tree as it was.
        """
        ...

    async def forget_history(self, provider: Address, root: str | None = None) -> None:
        """Read a history anew the next time: what the node told of it was wrong, and another node may know better."""
        ...

    async def keys_hash(self) -> str:
        """The hash of the verifying keys that proofs must be for (`Circuit.keys_hash`)."""
        ...

    async def heads(self) -> Heads: ...

    async def gas_price(self) -> AttoFil:
        """What one unit of gas costs now."""
        ...

    async def receipt(self, tx: str) -> Receipt | None:
        """A transaction that is in a block of the present chain and succeeded; None for any other."""
        ...

    async def waiting(self) -> int:
        """How many of this wallet's transactions were sent and are in no block, an earlier process's too."""
        ...

    async def settle(self, provider: Address, operations: Sequence[Operation], proof: Proof) -> Receipt:
        """Post a batch, of the proof's size and window. Whoever isn't the provider may only close overdue leases.

        A proof on another root than the tree's is taken if it closes nothing but leases whose `demanded_root` that is;
        the tree stays as it is then, their leaves in it.
        """
        ...

    async def refund(self, leases: Sequence[LeaseId]) -> Receipt:
        """Close leases that have no leaf with nothing paid: all or none.

        Their provider may at any time, anyone once they are overdue.
        """
        ...

    async def demand_close(self, lease: LeaseId) -> Receipt:
        """Note the root on which an overdue lease that has a leaf can be closed from now on; once a lease.

        The first lease of a tree that is demanded must be closed by its provider's next batch.
        """
        ...

    async def collect(self, provider: Address) -> Receipt:
        """Pay what the ledger owes a provider to its payout address."""
        ...

    async def review(self, order: Order, review: Review) -> Receipt:
        """The client's word on a closed lease, as a plain transaction of its own; once a lease."""
        ...

    async def review_signed(self, order: Order, review: Review, signature: str) -> Receipt:
        """Post a review that the order's client signed, until its deadline; anyone may."""
        ...

    async def reviews(self, provider: Address, most: int) -> list[ReviewRecord]:
        """The provider's reviews, the newest first: at most so many, and at most `MAX_REVIEWS`.

        All of them together come to its `standing`; Unavailable when the node leaves some out.
        """
        ...

    async def standing(self, provider: Address) -> Standing: ...

    async def close(self) -> None: ...
