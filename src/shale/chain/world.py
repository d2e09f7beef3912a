"""MemoryWorld: registry, market and ledger in memory, under the contracts' rules (docs/protocol.md, section 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from shale.chain.chain import Deployment, LeaseRecord, ProviderRecord, Receipt, Shard
from shale.clock import Clock
from shale.errors import InputRefused, Refused
from shale.market.lease import EndReason
from shale.market.order import Acceptance, Confirmation, End, Order, PayKey
from shale.market.review import Review, Standing
from shale.market.signing import SigningDomain
from shale.payments.batch import Leaf, Operation, Proof
from shale.payments.words import BATCH_SIZE, INSERT, batch_words, challenge, evaluation, flags_of, hex_word
from shale.units import ZERO, Address, AttoFil, LeaseId, Price, lease_id_of

WINDOW = 24 * 3600
MAX_LEASE_SECONDS = 10 * 365 * 86400


class ProofChecker(Protocol):
    """What the contracts have of a Prover: which keys are points, and which proofs hold."""

    async def check_key(self, key: PayKey) -> bool: ...

    async def domain(self, chain_id: int, ledger: Address) -> str: ...

    async def root(self, leaves: Sequence[Leaf]) -> str: ...

    async def check_proof(self, proof: Proof) -> bool: ...


@dataclass(frozen=True, slots=True)
class Deposit:
    """An entry of a provider's deposit queue: what its insert must say."""

    lease: LeaseId
    key: PayKey
    amount: AttoFil


@dataclass(slots=True)
class _Shard:
    root: str
    queue: list[Deposit]
    head: int = 0
    owed: AttoFil = ZERO


class Registry:
    """The providers' records by operator."""

    def __init__(self) -> None:
        self._records: dict[Address, ProviderRecord] = {}

    def get(self, operator: Address) -> ProviderRecord | None:
        return self._records.get(operator)

    def active(self) -> list[ProviderRecord]:
        return [record for record in self._records.values() if record.active]

    def register(
        self, operator: Address, miner: int, endpoint: str, host_key: str, offer: str, payout: Address
    ) -> None:
        found = self._records.get(operator)
        if miner not in (0, found.miner if found else 0):
            raise Refused(f"{operator} does not control the miner f0{miner}", "register from its owner or worker")
        if not 1 <= len(endpoint.encode()) <= 256:
            raise Refused(f"an endpoint of {len(endpoint)} bytes can't be registered", "give 1 to 256 bytes")
        self._records[operator] = ProviderRecord(operator, 0, endpoint, host_key, offer, payout, True)

    def retire(self, operator: Address) -> None:
        found = self._records.get(operator)
        if found is None or not found.active:
            raise Refused("this operator is not registered", "register it first")
        self._records[operator] = replace(found, active=False)


class MemoryWorld:
    """One chain. `wallets` starts as the given money; the clock is the block's time."""

    def __init__(
        self, checker: ProofChecker, clock: Clock, deployment: Deployment, vk_hash: str = "0x" + "0" * 64
    ) -> None:
        self.deployment = deployment
        self.vk_hash = vk_hash
        self.signing = SigningDomain(deployment.chain_id, deployment.market)
        self.registry = Registry()
        self.wallets: defaultdict[Address, AttoFil] = defaultdict(lambda: ZERO)
        self.balances: defaultdict[Address, AttoFil] = defaultdict(lambda: ZERO)
        self.leases: dict[LeaseId, LeaseRecord] = {}
        self.nonces: set[tuple[Address, int]] = set()
        self.standings: dict[Address, Standing] = {}
        self._checker = checker
        self._clock = clock
        self._shards: dict[Address, _Shard] = {}
        self._prices: dict[LeaseId, tuple[Price, int, int]] = {}
        self._block = deployment.block

    def receipt(self) -> Receipt:
        self._block += 1
        return Receipt(f"0x{self._block:064x}", self._block, 0)

    def debit(self, owner: Address, amount: AttoFil) -> None:
        have = self.balances[owner]
        if amount > have:
            raise Refused(
                f"the ledger balance is {have.value} attoFIL, {amount.value} are needed",
                "deposit the rest (shale wallet deposit)",
            )
        self.balances[owner] = have - amount

    async def shard(self, provider: Address) -> Shard:
        shard = await self._shard(provider)
        return Shard(shard.root, shard.head, len(shard.queue), shard.owed)

    async def open_lease(self, order: Order, acceptance: Acceptance, confirmation: Confirmation) -> None:
        """Lock the collateral; the signatures have been checked by the caller."""
        order_hash = self.signing.order_hash(order)
        lease = lease_id_of(order_hash)
        if lease in self.leases:
            raise Refused("the lease is open on chain", "look at its state: it has gone on without this step")
        if not 0 < order.max_seconds <= MAX_LEASE_SECONDS:
            raise Refused(f"a lease can't last {order.max_seconds} seconds", "give 1 second to 10 years")
        now = self._clock.now()
        if now > (deadline := min(order.deadline, acceptance.deadline, confirmation.deadline)):
            raise Refused(f"the deadline {deadline} has passed", "start over with a new order")
        if acceptance.order != order_hash or confirmation.order != order_hash:
            raise Refused("acceptance or confirmation belong to another order", "sign them for this one")
        if confirmation.acceptance != self.signing.struct_hash(acceptance):
            raise Refused("the confirmation is for another acceptance", "confirm the one at hand")
        if confirmation.collateral != order.collateral:
            raise Refused("the collateral is not price x seconds", "confirm price x seconds")
        if (order.client, order.nonce) in self.nonces:
            raise Refused(f"the order's nonce {order.nonce} is used", "sign a new order")
        if not await self._checker.check_key(order.pay_key):
            raise Refused("the payment key is not a good point of the curve", "make a new one")
        shard = await self._shard(order.provider)
        self.debit(order.client, order.collateral)
        self.nonces.add((order.client, order.nonce))
        self.leases[lease] = LeaseRecord(
            order.client,
            order.provider,
            order.collateral,
            queued=len(shard.queue),
            ended_at=0,
            end_reason=EndReason.NONE,
            closed=False,
            paid=ZERO,
            seconds=0,
            reviewed=False,
        )
        self._prices[lease] = (order.price, now, now + order.max_seconds + WINDOW)
        shard.queue.append(Deposit(lease, order.pay_key, order.collateral))

    def end_lease(self, end: End, signature: str) -> None:
        lease = lease_id_of(end.order)
        record = self.leases.get(lease)
        if record is None:
            raise Refused("the lease is not on chain", "there is nothing to end there")
        try:
            self.signing.check(end, signature, record.provider)
        except InputRefused:
            self.signing.check(end, signature, record.client)
        if record.ended_at:
            raise Refused("the lease is ended on chain", "look at its state: it has gone on without this step")
        if end.reason is EndReason.NONE:
            raise Refused("0 is not an end reason", "give 1 to 9")
        now = self._clock.now()
        self.leases[lease] = replace(record, ended_at=now, end_reason=end.reason)
        price, opened, overdue = self._prices[lease]
        self._prices[lease] = (price, opened, min(overdue, now + WINDOW))

    async def settle(self, sender: Address, provider: Address, operations: Sequence[Operation], proof: Proof) -> None:
        """Book a batch whole, or not at all."""
        if not 1 <= len(operations) <= BATCH_SIZE:
            raise Refused(f"a batch can't have {len(operations)} operations", f"give 1 to {BATCH_SIZE}")
        shard = await self._shard(provider)
        if proof.old_root != shard.root:
            raise Refused("the ledger's root has moved", "rebuild the batch on the present one")
        head, closed = shard.head, set[LeaseId]()
        for position, operation in enumerate(operations):
            self._check(sender, provider, operation)
            if operation.leaf.lease in closed or not (operation.moves or operation.voucher):
                raise Refused("the batch contradicts itself", "plan the batch again")
            if operation.insert:
                leaf = operation.leaf
                if shard.queue[head : head + 1] != [Deposit(leaf.lease, leaf.key, leaf.deposit)]:
                    raise Refused(
                        f"operation {position} is not the next deposit in the queue",
                        "insert deposits in order",
                    )
                head += 1
            if operation.close:
                closed.add(operation.leaf.lease)
        await self._verify(operations, proof)
        shard.root, shard.head = proof.new_root, head
        for operation in operations:
            shard.owed += operation.earned
            if operation.close:
                record = self.leases[operation.leaf.lease]
                self.balances[record.client] += operation.refund
                self.leases[operation.leaf.lease] = replace(
                    record, closed=True, paid=operation.amount, seconds=operation.seconds
                )

    async def collect(self, provider: Address) -> None:
        shard = await self._shard(provider)
        if not shard.owed:
            raise Refused("the ledger owes nothing", "settle first")
        record = self.registry.get(provider)
        self.wallets[record.payout if record else provider] += shard.owed
        shard.owed = ZERO

    def review(self, sender: Address, review: Review) -> None:
        record = self.leases.get(review.lease)
        if record is None or record.client != sender:
            raise Refused(f"{sender} is not the lease's client", "send it from the client's wallet")
        if not record.closed:
            raise Refused("the lease is not settled yet", "review it once the provider has redeemed it")
        if record.reviewed:
            raise Refused("the lease is reviewed already", "a lease takes one review")
        self.leases[review.lease] = replace(record, reviewed=True)
        price = self._prices[review.lease][0].per_second.value
        weight = min(record.seconds, record.paid.value // price) if price else 0
        known = self.standings.get(record.provider, Standing(0, 0, 0))
        self.standings[record.provider] = Standing(
            known.reviews + 1, known.weight_seconds + weight, known.weighted_stars + weight * review.stars
        )

    def _check(self, sender: Address, provider: Address, operation: Operation) -> None:
        """What only the chain knows of an operation: whose the lease is, and who may do this now."""
        record = self.leases.get(operation.leaf.lease)
        if record is None or record.provider != provider:
            raise Refused("a lease of the batch is another provider's", "plan the batch again")
        if record.closed:
            raise Refused("the lease is closed in the ledger", "leave it out of the batch")
        if sender == provider:
            return
        _, opened, from_ = self._prices[operation.leaf.lease]
        if flags_of(operation) == INSERT:
            from_ = opened + WINDOW
        elif not operation.close:
            raise Refused("only the provider may claim without closing", "send it from the operator's wallet")
        if self._clock.now() < from_:
            raise Refused(f"only the provider may do this before {from_}", "wait until then")

    async def _verify(self, operations: Sequence[Operation], proof: Proof) -> None:
        """The proof must hold for the words of *these* operations, whatever words it came with."""
        domain = await self._checker.domain(self.deployment.chain_id, self.deployment.ledger)
        words = batch_words(int(domain, 16), int(proof.old_root, 16), int(proof.new_root, 16), operations)
        r = challenge(words, int(proof.c, 16))
        ours = replace(proof, r=hex_word(r), e=hex_word(evaluation(words, r)))
        if not await self._checker.check_proof(ours):
            raise Refused("the proof does not hold", "prove the batch again with the deployment's keys")

    async def _shard(self, provider: Address) -> _Shard:
        if provider not in self._shards:
            self._shards[provider] = _Shard(await self._checker.root([]), [])
        return self._shards[provider]
