"""MemoryWorld: one chain in memory under the contracts' rules (docs/protocol.md, section 5), with reorganisations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

from shale.chain.chain import Deployment, Heads, LeaseRecord, Opening, OrderStage, Receipt, ReviewRecord
from shale.chain.world_ledger import Ledger, Moment, ProofChecker
from shale.chain.world_registry import Registry
from shale.clock import Clock
from shale.errors import ConfigError, InputRefused, Refused
from shale.market.lease import EndReason
from shale.market.order import Acceptance, Confirmation, End, Order
from shale.market.review import Review, Standing, shown, weigh
from shale.market.signing import Signable, SigningDomain, check_digest
from shale.payments.batch import Operation, Proof
from shale.units import ZERO, Address, AttoFil, LeaseId, lease_id_of

MAX_LEASE_SECONDS = 10 * 365 * 86400
GAS = 100_000
"""What every transaction takes, when gas has a price at all."""


@dataclass(slots=True)
class State:
    """All that a reorganisation takes back."""

    ledger: Ledger
    registry: Registry
    wallets: defaultdict[Address, AttoFil]
    nonces: set[tuple[Address, int]]
    orders: dict[LeaseId, tuple[OrderStage, str]]
    seconds: dict[LeaseId, int]
    standings: dict[Address, Standing]
    reviews: dict[Address, list[ReviewRecord]]
    receipts: dict[str, Receipt]
    block: int


class MemoryWorld:
    """One chain. The clock is its blocks' time; a block is final `depth` blocks later; `gas_price` is in attoFIL.

    `contracts` are the wallets that are contracts, each with the key that signs for it (ERC-1271).
    """

    def __init__(
        self, checker: ProofChecker, clock: Clock, deployment: Deployment, keys_hash: str = "0x" + "0" * 64
    ) -> None:
        self.deployment = deployment
        self.keys_hash = keys_hash
        self.signing = SigningDomain(deployment.chain_id, deployment.market)
        self.depth = 0
        self.gas_price = ZERO
        self.contracts: dict[Address, Address] = {}
        self._checker = checker
        self._clock = clock
        self._sent = 0
        self.state = State(
            Ledger(checker, deployment),
            Registry(),
            defaultdict(lambda: ZERO),
            set(),
            {},
            {},
            {},
            {},
            {},
            deployment.block,
        )

    @property
    def wallets(self) -> defaultdict[Address, AttoFil]:
        return self.state.wallets

    @property
    def balances(self) -> defaultdict[Address, AttoFil]:
        return self.state.ledger.balances

    @property
    def leases(self) -> dict[LeaseId, LeaseRecord]:
        return self.state.ledger.leases

    @property
    def heads(self) -> Heads:
        latest = self.state.block
        return Heads(latest, self._clock.now(), max(self.deployment.block, latest - self.depth))

    def mark(self) -> State:
        """The present state, for `rewind`."""
        return deepcopy(self.state, {id(self._checker): self._checker})

    def rewind(self, mark: State) -> None:
        """A reorganisation: the blocks since the mark never were, their transactions are in none."""
        self.state = deepcopy(mark, {id(self._checker): self._checker})

    def mine(self, blocks: int = 1) -> None:
        """Empty blocks."""
        self.state.block += blocks

    def moment(self) -> Moment:
        """Where the transaction at hand will land. No hash comes twice, not even after a reorganisation."""
        self._sent += 1
        return Moment(f"0x{self._sent:064x}", self.state.block + 1, self._clock.now())

    def receipt(self, sender: Address, at: Moment) -> Receipt:
        """The transaction went through: its sender pays for it."""
        self.state.block = at.block
        fee = self.gas_price * GAS
        if fee > self.wallets[sender]:
            raise ConfigError(f"the wallet {sender} has {self.wallets[sender]}, needs {fee} of gas", "fund it")
        self.wallets[sender] -= fee
        receipt = Receipt(at.tx, at.block, GAS if fee else 0, fee)
        self.state.receipts[at.tx] = receipt
        return receipt

    def check_signature(self, item: Signable, signature: str, signer: Address) -> None:
        """As the contracts do: who has code is asked, of all others it must be the key's. Raises InputRefused."""
        if signer in self.contracts:
            self.check_contract(signer, self.signing.digest(item), signature)
        else:
            self.signing.check(item, signature, signer)

    def check_contract(self, signer: Address, digest: str, signature: str) -> None:
        """Raise InputRefused unless that is a contract which knows the signature for its own."""
        if signer not in self.contracts:
            raise InputRefused(f"there is no contract at {signer}", "sign it with the right key")
        check_digest(bytes.fromhex(digest[2:]), signature, self.contracts[signer], "message")

    # The market.

    async def open_leases(self, openings: Sequence[Opening], at: Moment) -> None:
        """Lock the collaterals, all or none; the signatures have been checked by the caller."""
        before = self.mark()
        try:
            for opening in openings:
                await self._open(opening.order, opening.acceptance, opening.confirmation, at)
        except Refused:
            self.rewind(before)
            raise

    async def _open(self, order: Order, acceptance: Acceptance, confirmation: Confirmation, at: Moment) -> None:
        order_hash = self.signing.order_hash(order)
        if lease_id_of(order_hash) in self.leases:
            raise Refused("the lease is open on chain", "look at its state: it has gone on without this step")
        await self._check_order(order, at, min(order.deadline, acceptance.deadline, confirmation.deadline))
        if acceptance.order != order_hash or confirmation.order != order_hash:
            raise Refused("acceptance or confirmation belong to another order", "sign them for this one")
        if confirmation.acceptance != self.signing.struct_hash(acceptance):
            raise Refused("the confirmation is for another acceptance", "confirm the one at hand")
        if confirmation.collateral != order.collateral:
            raise Refused("the collateral is not price x seconds", "confirm price x seconds")
        self.state.ledger.lock(lease_id_of(order_hash), order, at)
        self._use_nonce(order)
        self.state.seconds[lease_id_of(order_hash)] = order.max_seconds

    async def _check_order(self, order: Order, at: Moment, deadline: int) -> None:
        if not 0 < order.max_seconds <= MAX_LEASE_SECONDS:
            raise Refused(f"a lease can't last {order.max_seconds} seconds", "give 1 second to 10 years")
        if at.time > deadline:
            raise Refused(f"the deadline {deadline} has passed", "start over with a new order")
        if (order.client, order.nonce) in self.state.nonces:
            raise Refused(f"the order's nonce {order.nonce} is used", "sign a new order")
        if not await self._checker.check_key(order.pay_key):
            raise Refused("the payment key is not a good point of the curve", "make a new one")

    def _use_nonce(self, order: Order) -> None:
        self.state.nonces.add((order.client, order.nonce))

    async def create_order(self, sender: Address, order: Order, at: Moment) -> None:
        self._is(sender, order.client, "client")
        lease = self._stage(order, None)
        await self._check_order(order, at, order.deadline)
        self._use_nonce(order)
        self.state.orders[lease] = (OrderStage.CREATED, "")

    def cancel_order(self, sender: Address, order: Order) -> None:
        self._is(sender, order.client, "client")
        lease = lease_id_of(self.signing.order_hash(order))
        if lease in self.leases or self.state.orders.get(lease, (None,))[0] is OrderStage.CANCELLED:
            raise Refused("the lease is open or cancelled on chain", "look at its state")
        self._use_nonce(order)
        self.state.orders[lease] = (OrderStage.CANCELLED, "")

    def accept_order(self, sender: Address, order: Order, acceptance: Acceptance, at: Moment) -> None:
        self._is(sender, order.provider, "provider")
        lease = self._stage(order, OrderStage.CREATED)
        if at.time > (deadline := min(order.deadline, acceptance.deadline)):
            raise Refused(f"the deadline {deadline} has passed", "start over with a new order")
        if lease_id_of(acceptance.order) != lease:
            raise Refused("acceptance or confirmation belong to another order", "sign them for this one")
        self.state.orders[lease] = (OrderStage.ACCEPTED, self.signing.struct_hash(acceptance))

    def confirm_order(self, sender: Address, order: Order, acceptance: Acceptance, at: Moment) -> None:
        self._is(sender, order.client, "client")
        lease = self._stage(order, OrderStage.ACCEPTED)
        if self.state.orders[lease][1] != self.signing.struct_hash(acceptance):
            raise Refused("the confirmation is for another acceptance", "confirm the one at hand")
        if at.time > acceptance.deadline:
            raise Refused(f"the deadline {acceptance.deadline} has passed", "start over with a new order")
        self.state.ledger.lock(lease, order, at)
        self.state.seconds[lease] = order.max_seconds
        del self.state.orders[lease]

    def order_stage(self, lease: LeaseId) -> OrderStage:
        if (record := self.leases.get(lease)) is not None:
            return OrderStage.ENDED if record.ended_at else OrderStage.OPEN
        return self.state.orders.get(lease, (OrderStage.NONE,))[0]

    def _stage(self, order: Order, expected: OrderStage | None) -> LeaseId:
        """The order's lease, if the order has come just as far as expected (None: not on chain at all)."""
        lease = lease_id_of(self.signing.order_hash(order))
        state = self.state.orders.get(lease, (None,))[0]
        if lease in self.leases or state is not expected:
            shown = "open" if lease in self.leases else state.name.lower() if state else "unknown"
            raise Refused(f"the lease is {shown} on chain", "look at its state: it has gone on without this step")
        return lease

    def top_up(self, sender: Address, order: Order, extra_seconds: int, at: Moment) -> None:
        lease = lease_id_of(self.signing.order_hash(order))
        record = self.leases.get(lease)
        if record is None or record.closed or record.ended_at:
            raise Refused("the lease is not open on chain", "look at its state")
        if extra_seconds < 1 or self.state.seconds[lease] + extra_seconds > MAX_LEASE_SECONDS:
            raise Refused(f"a lease can't last {extra_seconds} seconds more", "give 1 second to 10 years in all")
        amount = order.price.over(extra_seconds)
        if sender == order.client:
            self.state.ledger.debit(sender, amount)
        elif amount > self.wallets[sender]:
            raise ConfigError(f"the wallet {sender} has {self.wallets[sender]}, needs {amount} and gas", "fund it")
        else:
            self.wallets[sender] -= amount
        self.state.ledger.raise_deposit(lease, amount, extra_seconds, at)
        self.state.seconds[lease] += extra_seconds

    def end_lease(self, end: End, signature: str, at: Moment) -> None:
        lease = lease_id_of(end.order)
        record = self.leases.get(lease)
        if record is None:
            raise Refused("the lease is not on chain", "there is nothing to end there")
        try:
            self.check_signature(end, signature, record.provider)
        except InputRefused:
            self.check_signature(end, signature, record.client)
        if record.ended_at or record.closed:
            raise Refused("the lease is ended on chain", "look at its state: it has gone on without this step")
        if end.reason is EndReason.NONE:
            raise Refused("0 is not an end reason", "give 1 to 9")
        self.state.ledger.begin_window(lease, end.reason, at)

    def review(self, sender: Address, order: Order, review: Review, at: Moment) -> None:
        record = self.leases.get(review.lease)
        if record is None or record.client != sender or review.lease != lease_id_of(self.signing.order_hash(order)):
            raise Refused(f"{sender} is not the lease's client", "send it from the client's wallet")
        self._review(record, order, review, at)

    def review_signed(self, order: Order, review: Review, signature: str, at: Moment) -> None:
        if review.order != self.signing.order_hash(order):
            raise Refused("the review belongs to another order", "sign it for this one")
        if at.time > review.deadline:
            raise Refused(f"the deadline {review.deadline} has passed", "sign it anew")
        self.check_signature(review, signature, order.client)
        record = self.leases.get(review.lease)
        if record is None:
            raise Refused("the lease is not settled yet", "review it once the provider has redeemed it")
        self._review(record, order, review, at)

    def _review(self, record: LeaseRecord, order: Order, review: Review, at: Moment) -> None:
        if not record.closed:
            raise Refused("the lease is not settled yet", "review it once the provider has redeemed it")
        if record.reviewed:
            raise Refused("the lease is reviewed already", "a lease takes one review")
        self.leases[review.lease] = replace(record, reviewed=True)
        weight = weigh(order.price.per_second, record.paid, record.seconds, record.closed_at - record.opened_at)
        known = self.state.standings.get(record.provider, Standing(0, 0, 0))
        self.state.standings[record.provider] = known.plus(review.stars, weight, record.paid)
        said = ReviewRecord(
            review.lease, record.client, review.stars, weight, record.paid, shown(review.comment), at.tx, at.time
        )
        self.state.reviews.setdefault(record.provider, []).append(said)

    # The ledger, as far as it pays out.

    async def settle(
        self, sender: Address, provider: Address, operations: Sequence[Operation], proof: Proof, at: Moment
    ) -> None:
        await self.state.ledger.settle(sender, provider, operations, proof, at)

    def collect(self, provider: Address) -> None:
        owed = self.state.ledger.collect(provider)
        record = self.state.registry.get(provider)
        self.wallets[record.payout if record else provider] += owed

    def _is(self, sender: Address, party: Address, role: str) -> None:
        if sender != party:
            raise Refused(f"{sender} is not the lease's {role}", f"send it from the {role}'s wallet")
