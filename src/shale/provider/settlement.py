"""Settlement: puts leases into batches, proves them, posts them, and collects what the ledger owes.

A batch is written to the books before it is posted. After a crash the chain's root says whether it went through: the
new root, then it is applied; the old one, then it is dropped and planned anew.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from eth_account.signers.local import LocalAccount
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shale.chain.chain import Chain, Shard
from shale.clock import Clock
from shale.errors import Refused, ShaleError, Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.market.signing import SigningDomain
from shale.payments.batch import Claimable, Leaf, Operation, Proof, plan_batch
from shale.proofs.prover import Prover
from shale.provider import books
from shale.provider.store import Held, Store
from shale.units import ZERO, Address, AttoFil, LeaseId

log = logging.getLogger("shale.provider")


_CHAIN_LAG_SECONDS = 3600
"""By how much a chain's clock, and what we see of it, may lag behind ours."""


@dataclass(frozen=True, slots=True)
class Settled:
    """One posted batch."""

    operations: int
    old_root: str
    new_root: str
    constraints: int
    prove_seconds: float
    tx: str
    gas: int
    earned: AttoFil
    refunded: AttoFil
    leases: tuple[LeaseId, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "operations": self.operations,
            "old_root": self.old_root,
            "new_root": self.new_root,
            "constraints": self.constraints,
            "prove_seconds": round(self.prove_seconds, 3),
            "tx": self.tx,
            "gas": self.gas,
            "earned_attofil": str(self.earned.value),
            "refunded_attofil": str(self.refunded.value),
            "leases": list(self.leases),
        }


class Settlement:
    """One at a time: `run` redeems all that can be redeemed now."""

    def __init__(
        self,
        store: Store,
        chain: Chain,
        prover: Prover,
        clock: Clock,
        account: LocalAccount,
        signing: SigningDomain,
        provider: Address,
        ledger_domain: str,
    ) -> None:
        self._store = store
        self._chain = chain
        self._prover = prover
        self._clock = clock
        self._account = account
        self._signing = signing
        self._provider = provider
        self._domain = ledger_domain
        self._lock = asyncio.Lock()

    async def run(self) -> list[Settled]:
        """Post batches until nothing is left to redeem, then collect. Raises the first error; posted ones count.

        A lease that runs on pays meanwhile: it is redeemed once in a run, or there would always be one more batch.
        """
        async with self._lock:
            await self._reconcile()
            await self._sweep()
            settled: list[Settled] = []
            done: set[LeaseId] = set()
            while (batch := await self._one(done)) is not None:
                settled.append(batch)
                done.update(batch.leases)
            shard = await self._chain.shard(self._provider)
            if shard.owed:
                await self._chain.collect(self._provider)
            return settled

    async def _reconcile(self) -> None:
        """Finish, or drop, a batch that a crash left half posted."""
        async with self._store.begin() as connection:
            rows = (
                await connection.execute(select(books.settlements).where(books.settlements.c.state == "posting"))
            ).all()
        for row in rows:
            shard = await self._chain.shard(self._provider)
            operations = json.loads(row.operations)
            moved = int(row.old_root, 16) != int(row.new_root, 16)
            if int(shard.root, 16) == int(row.new_root, 16) and (moved or await self._all_closed(operations)):
                await self._apply(row.id, operations, {})
            else:
                async with self._store.begin() as connection:
                    await connection.execute(
                        update(books.settlements).where(books.settlements.c.id == row.id).values(state="dropped")
                    )

    async def _sweep(self) -> None:
        """Acceptances that nobody confirmed to us: forgotten once the chain can't take them any more.

        A client may have anchored one by itself; its deposit then waits in the queue, where it would block all later
        ones: as a lease that never started, it is closed and refunded.
        """
        for held in await self._store.leases(LeaseState.ACCEPTED):
            if await self._chain.lease(held.id) is not None:
                await self._store.end(held.id, EndReason.START_FAILED, self._clock.now())
            elif held.acceptance.deadline + _CHAIN_LAG_SECONDS < self._clock.now():
                await self._store.forget(held.id)

    async def _all_closed(self, operations: list[dict[str, Any]]) -> bool:
        """A batch that opens and closes the same leaves moves no root: then the leases say whether it was posted."""
        for raw in operations:
            record = await self._chain.lease(LeaseId(raw["lease"]))
            if record is None or not record.closed:
                return False
        return True

    async def _one(self, done: Collection[LeaseId]) -> Settled | None:
        circuit = await self._prover.circuit()
        shard = await self._chain.shard(self._provider)
        held = await self._store.leases(LeaseState.RUNNING, LeaseState.FROZEN, LeaseState.ENDED)
        claimables = [item for one in held if (item := await self._claimable(one, shard)) is not None]
        leaves = [one.leaf for one in held if one.leaf is not None]
        await self._check_queue(claimables, shard)
        wanted = [item for item in claimables if item.ended or item.lease not in done]
        operations = plan_batch(wanted, leaves, circuit.batch, shard.demanded)
        if not operations:
            return None
        proof = await self._prover.prove(self._domain, leaves, operations)
        if int(proof.old_root, 16) != int(shard.root, 16):
            raise Refused("the books' tree is not the chain's", "rebuild it from the chain's events")
        return await self._post(operations, proof)

    async def _claimable(self, held: Held, shard: Shard) -> Claimable | None:
        """The lease as a batch sees it; an ended one that the chain never had is settled with nothing."""
        record = await self._chain.lease(held.id)
        if record is None:
            ended = held.lease.state is LeaseState.ENDED
            late = held.acceptance.deadline + _CHAIN_LAG_SECONDS < self._clock.now()
            if ended and late:
                async with self._store.begin() as connection:
                    await _set_lease(connection, held.id, state=LeaseState.SETTLED.value)
            return None
        if record.closed:
            async with self._store.begin() as connection:
                await _set_lease(connection, held.id, state=LeaseState.SETTLED.value, leaf_index=None)
            return None
        if held.lease.state is LeaseState.ENDED and not held.end_anchored:
            await self._anchor_end(held)
        queued = record.queued if record.queued >= shard.head and held.leaf is None else None
        return Claimable(
            held.id,
            held.order.pay_key,
            held.order.collateral,
            held.lease.state is LeaseState.ENDED,
            held.voucher,
            queued,
            held.leaf,
        )

    async def _anchor_end(self, held: Held) -> None:
        final, record = held.final, await self._chain.lease(held.id)
        if final is not None and record is not None and record.ended_at == 0:
            await self._chain.end_lease(final, self._signing.sign(final, self._account))
        await self._store.set_end_anchored(held.id)

    async def _check_queue(self, claimables: Sequence[Claimable], shard: Shard) -> None:
        queued = sorted(item.queued for item in claimables if item.queued is not None)
        if queued and queued != list(range(shard.head, shard.head + len(queued))):
            raise Refused("a deposit in the chain's queue is not in the books", "restore the books from your backup")

    async def _post(self, operations: list[Operation], proof: Proof) -> Settled:
        earned = sum((operation.earned for operation in operations), ZERO)
        refunded = sum((operation.refund for operation in operations), ZERO)
        raw = [_operation_to_json(operation) for operation in operations]
        async with self._store.begin() as connection:
            added = await connection.execute(
                insert(books.settlements).values(
                    state="posting",
                    created_at=self._clock.now(),
                    old_root=proof.old_root,
                    new_root=proof.new_root,
                    constraints=proof.constraints,
                    prove_millis=round(proof.prove_seconds * 1000),
                    earned=str(earned.value),
                    refunded=str(refunded.value),
                    operations=json.dumps(raw),
                )
            )
            key = added.inserted_primary_key
        assert key is not None, "an insert gives its key"
        try:
            receipt = await self._chain.settle(self._provider, operations, proof)
        except Unavailable:
            raise  # It may be on its way: the next run reconciles.
        except ShaleError:
            async with self._store.begin() as connection:
                await connection.execute(
                    update(books.settlements).where(books.settlements.c.id == key[0]).values(state="refused")
                )
            raise
        await self._apply(key[0], raw, {"tx": receipt.tx, "gas": receipt.gas})
        log.info("settled %d operations: earned %s, refunded %s", len(operations), earned, refunded)
        return Settled(
            len(operations),
            proof.old_root,
            proof.new_root,
            proof.constraints,
            proof.prove_seconds,
            receipt.tx,
            receipt.gas,
            earned,
            refunded,
            tuple(operation.leaf.lease for operation in operations),
        )

    async def _apply(self, settlement: int, operations: list[dict[str, Any]], values: dict[str, Any]) -> None:
        async with self._store.begin() as connection:
            await connection.execute(
                update(books.settlements).where(books.settlements.c.id == settlement).values(state="posted", **values)
            )
            for raw in operations:
                if raw["close"]:
                    await _set_lease(connection, LeaseId(raw["lease"]), state=LeaseState.SETTLED.value, leaf_index=None)
                else:
                    await _set_lease(
                        connection,
                        LeaseId(raw["lease"]),
                        leaf_index=raw["index"],
                        leaf_amount=raw["amount"],
                        leaf_seconds=raw["seconds"],
                    )

    async def history(self) -> list[dict[str, Any]]:
        """The posted batches, newest first."""
        async with self._store.begin() as connection:
            rows = await connection.execute(
                select(books.settlements)
                .where(books.settlements.c.state == "posted")
                .order_by(books.settlements.c.id.desc())
                .limit(100)
            )
            return [
                {
                    "at": row.created_at,
                    "tx": row.tx,
                    "gas": row.gas,
                    "constraints": row.constraints,
                    "prove_seconds": row.prove_millis / 1000,
                    "earned_attofil": row.earned,
                    "refunded_attofil": row.refunded,
                    "operations": len(json.loads(row.operations)),
                    "leases": [raw["lease"] for raw in json.loads(row.operations)],
                }
                for row in rows
            ]


async def _set_lease(connection: AsyncConnection, lease: LeaseId, **values: Any) -> None:
    await connection.execute(update(books.leases).where(books.leases.c.lease_id == lease).values(**values))


def _operation_to_json(operation: Operation) -> dict[str, Any]:
    after: Leaf | None = operation.after()
    return {
        "lease": operation.leaf.lease,
        "index": operation.leaf.index,
        "close": after is None,
        "amount": str(operation.amount.value),
        "seconds": operation.seconds,
    }
