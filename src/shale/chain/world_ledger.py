"""Ledger in memory: deposits, shards, batches, refunds and demanded closes, under the contract's rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from shale.chain.chain import Deployment, LeaseRecord, OnLedger, Shard
from shale.errors import Refused
from shale.market.lease import EndReason
from shale.market.order import Order, PayKey
from shale.payments.batch import Batch, Leaf, Operation, Proof
from shale.payments.history import BatchSettled, LeaseClosed, LeaseExited, LeaseLocked, LeaseOperated, ShardEvent
from shale.payments.words import batch_words, challenge, check_batch, evaluation, flags_of, hex_word
from shale.units import MAX_AMOUNT, ZERO, Address, AttoFil, LeaseId

WINDOW = 24 * 3600
"""From an End, or the end of its term, to the moment from which anyone may close a lease."""


class ProofChecker(Protocol):
    """What the contracts have of a Prover: which keys are points, and which proofs hold."""

    async def check_key(self, key: PayKey) -> bool: ...

    async def domain(self, chain_id: int, ledger: Address) -> str: ...

    async def root(self, leaves: Sequence[Leaf]) -> str: ...

    async def check_proof(self, proof: Proof) -> bool: ...


@dataclass(frozen=True, slots=True)
class Moment:
    """The block that a transaction lands in."""

    tx: str
    block: int
    time: int


@dataclass(slots=True)
class _Shard:
    root: str = ""
    owed: AttoFil = ZERO
    demanded: LeaseId | None = None
    events: list[ShardEvent] = field(default_factory=list)


class Ledger:
    """Balances, the leases' records, and a shard for each provider; every call changes all it should, or nothing."""

    def __init__(self, checker: ProofChecker, deployment: Deployment) -> None:
        self.balances: defaultdict[Address, AttoFil] = defaultdict(lambda: ZERO)
        self.leases: dict[LeaseId, LeaseRecord] = {}
        self.demanded_roots: dict[LeaseId, str] = {}
        self._checker = checker
        self._deployment = deployment
        self._keys: dict[LeaseId, PayKey] = {}
        self._deposits: dict[LeaseId, list[tuple[int, AttoFil]]] = {}
        self._shards: dict[Address, _Shard] = {}

    async def shard(self, provider: Address) -> Shard:
        shard = self._shard(provider)
        shard.root = shard.root or await self.empty_root()
        return Shard(shard.root, shard.owed, shard.demanded)

    async def empty_root(self) -> str:
        return await self._checker.root([])

    def events(self, provider: Address) -> tuple[ShardEvent, ...]:
        return tuple(self._shard(provider).events)

    def debit(self, owner: Address, amount: AttoFil) -> None:
        have = self.balances[owner]
        if amount > have:
            raise Refused(
                f"the ledger balance is {have.value} attoFIL, {amount.value} are needed",
                "deposit the rest (shale wallet deposit), or take less",
            )
        self.balances[owner] = have - amount

    def lock(self, lease: LeaseId, order: Order, at: Moment) -> None:
        """Take the collateral out of the client's balance."""
        if lease in self.leases:
            raise Refused("the lease is open on chain", "look at its state: it has gone on without this step")
        self.debit(order.client, order.collateral)
        self._keys[lease] = order.pay_key
        self.leases[lease] = LeaseRecord(
            order.client, order.provider, order.collateral, OnLedger.LOCKED, at.time + order.max_seconds + WINDOW,
            ended_at=0, end_reason=EndReason.NONE, closed=False, paid=ZERO, seconds=0, reviewed=False, closed_at=0,
            opened_at=at.time,
        )  # fmt: skip
        self._deposits[lease] = [(at.block, order.collateral)]
        event = LeaseLocked(at.block, lease, order.client, order.collateral, order.pay_key)
        self._shard(order.provider).events.append(event)

    def raise_deposit(self, lease: LeaseId, amount: AttoFil, extra_seconds: int, at: Moment) -> None:
        record = self.leases[lease]
        if record.deposit.value + amount.value > MAX_AMOUNT:
            raise Refused("the deposit would exceed 2^96 - 1 attoFIL", "add less")
        overdue = record.overdue_at + extra_seconds
        self.leases[lease] = replace(record, deposit=record.deposit + amount, overdue_at=overdue)
        self._deposits[lease].append((at.block, record.deposit + amount))

    def deposit_at(self, lease: LeaseId, block: int) -> AttoFil:
        return next((amount for at, amount in reversed(self._deposits.get(lease, [])) if at <= block), ZERO)

    def begin_window(self, lease: LeaseId, reason: EndReason, at: Moment) -> None:
        record = self.leases[lease]
        overdue = min(record.overdue_at, at.time + WINDOW)
        self.leases[lease] = replace(record, ended_at=at.time, end_reason=reason, overdue_at=overdue)

    async def settle(
        self, sender: Address, provider: Address, operations: Sequence[Operation], proof: Proof, at: Moment
    ) -> None:
        batch = Batch(proof.size, proof.window, tuple(operations))
        check_batch(batch)
        shard = self._shard(provider)
        exits = proof.old_root != (await self.shard(provider)).root
        seen = set[LeaseId]()
        for position, operation in enumerate(operations):
            if exits and self.demanded_roots.get(operation.leaf.lease) != proof.old_root:
                raise Refused("the ledger's root has moved", "rebuild the batch on the present one")
            if operation.leaf.lease in seen or not flags_of(operation):
                raise Refused(f"operation {position} of the batch contradicts itself", "plan the batch again")
            seen.add(operation.leaf.lease)
            self._check(sender, provider, operation, position, at.time)
        closing = {operation.leaf.lease for operation in operations if operation.close}
        if sender == provider and shard.demanded is not None and shard.demanded not in closing:
            raise Refused("a client has demanded that its lease be closed", "close it in the next batch")
        await self._verify(batch, proof)
        shard.owed += proof.earned
        if shard.demanded in closing:
            shard.demanded = None
        for operation in operations:
            leaf, flags = operation.leaf, flags_of(operation)
            shard.events.append(
                LeaseExited(at.block, leaf.lease, proof.old_root, leaf.index)
                if exits
                else LeaseOperated(at.block, leaf.lease, leaf.index, flags, operation.amount, operation.seconds)
            )
            if operation.close:
                self._close(leaf.lease, operation.amount, operation.seconds, operation.reason, at)
            elif operation.insert:
                self.leases[leaf.lease] = replace(self.leases[leaf.lease], state=OnLedger.INSERTED)
        if not exits:
            shard.root = proof.new_root
            shard.events.append(
                BatchSettled(at.block, at.tx, proof.old_root, proof.new_root, proof.window, proof.size, proof.earned)
            )

    def refund(self, sender: Address, leases: Sequence[LeaseId], at: Moment) -> None:
        if not leases or len(set(leases)) != len(leases):
            raise Refused("give one or more leases, none twice", "give their ids")
        for lease in leases:
            record = self._open(lease)
            if record.state is not OnLedger.LOCKED:
                raise Refused("the lease is in its provider's tree", "it takes a proof to close it")
            if sender != record.provider and at.time < record.overdue_at:
                raise Refused(f"only the provider may do this before {record.overdue_at}", "wait until then")
        for lease in leases:
            self._close(lease, ZERO, 0, EndReason.NONE, at)

    async def demand(self, lease: LeaseId, at: Moment) -> None:
        record = self._open(lease)
        if record.state is not OnLedger.INSERTED:
            raise Refused("the lease has no leaf in its provider's tree", "take a refund")
        if at.time < record.overdue_at:
            raise Refused(f"only the provider may do this before {record.overdue_at}", "wait until then")
        if lease in self.demanded_roots:
            raise Refused("the lease's close is demanded already", "prove it on the root of then (shale exit)")
        self.demanded_roots[lease] = (await self.shard(record.provider)).root
        shard = self._shard(record.provider)
        shard.demanded = shard.demanded or lease

    def collect(self, provider: Address) -> AttoFil:
        """What was owed; the caller pays it out."""
        shard = self._shard(provider)
        if not shard.owed:
            raise Refused("the ledger owes nothing", "settle first")
        owed, shard.owed = shard.owed, ZERO
        return owed

    def _open(self, lease: LeaseId) -> LeaseRecord:
        record = self.leases.get(lease)
        if record is None:
            raise Refused("the ledger knows no such lease", "check its id and the network")
        if record.closed:
            raise Refused("the lease is closed in the ledger", "leave it out of the batch")
        return record

    def _check(self, sender: Address, provider: Address, operation: Operation, position: int, now: int) -> None:
        """What only the chain knows of an operation: whose the lease is, what it holds, and who may do this now."""
        record = self._open(operation.leaf.lease)
        if record.provider != provider:
            raise Refused("a lease of the batch is another provider's", "plan the batch again")
        if operation.insert != (record.state is OnLedger.LOCKED):
            raise Refused(f"operation {position} of the batch contradicts itself", "plan the batch again")
        if operation.insert and operation.leaf.key != self._keys[operation.leaf.lease]:
            raise Refused(f"operation {position} has another payment key than its lease", "plan the batch again")
        if operation.amount > record.deposit:
            raise Refused(f"operation {position} pays more than the lease's deposit", "claim a lower voucher")
        overdue = now >= record.overdue_at
        if overdue and not operation.close:
            raise Refused("a lease of the batch is overdue: it must be closed", "plan the batch again")
        if sender != provider and not operation.close:
            raise Refused("only the provider may claim without closing", "send it from the operator's wallet")
        if sender != provider and not overdue:
            raise Refused(f"only the provider may do this before {record.overdue_at}", "wait until then")

    async def _verify(self, batch: Batch, proof: Proof) -> None:
        """The proof must hold for the words of *these* operations, whatever words it came with."""
        domain = await self._checker.domain(self._deployment.chain_id, self._deployment.ledger)
        words = batch_words(int(domain, 16), int(proof.old_root, 16), int(proof.new_root, 16), batch, proof.earned)
        r = challenge(words, int(proof.c, 16))
        ours = replace(proof, r=hex_word(r), e=hex_word(evaluation(words, r)))
        if not await self._checker.check_proof(ours):
            raise Refused("the proof does not hold", "prove the batch again with the deployment's keys")

    def _close(self, lease: LeaseId, paid: AttoFil, seconds: int, reason: EndReason, at: Moment) -> None:
        record = self.leases[lease]
        refund = record.deposit - paid
        self.balances[record.client] += refund
        self.leases[lease] = replace(
            record,
            state=OnLedger.CLOSED,
            closed=True,
            paid=paid,
            seconds=seconds,
            closed_at=at.time,
            end_reason=record.end_reason or reason,
        )
        event = LeaseClosed(at.block, lease, record.client, paid, refund, seconds, reason)
        self._shard(record.provider).events.append(event)

    def _shard(self, provider: Address) -> _Shard:
        return self._shards.setdefault(provider, _Shard())
