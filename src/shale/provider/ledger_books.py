"""LedgerBooks: the provider's side of the ledger in its books: the tree, the batches on their way, what it cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shale.chain.chain import Receipt
from shale.market.lease import EndReason, LeaseState
from shale.market.order import PayKey
from shale.payments.batch import Batch, Leaf, Operation, Proof
from shale.payments.voucher import Voucher
from shale.provider import books
from shale.provider.store import Store
from shale.units import ZERO, AttoFil, LeaseId

_MANY = 5000
"""Leaves that one call writes: a statement for each takes minutes for a tree of a million."""


class BatchState(Enum):
    """PROVEN: its proof is kept. POSTING: the chain was given it. MINED: in a block, and the books follow it.

    FINAL: no reorganisation takes it back. DROPPED: the chain went on without it. REFUSED: the contract said no.
    """

    PROVEN = "proven"
    POSTING = "posting"
    MINED = "mined"
    FINAL = "final"
    DROPPED = "dropped"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Kept:
    """A batch with its proof, as the books have it. `tx` and `block` say where it is in the chain, once it is."""

    id: int
    state: BatchState
    batch: Batch
    proof: Proof
    refunded: AttoFil
    created_at: int
    settled_at: int
    tx: str
    block: int
    gas: int
    fee: AttoFil

    @property
    def closing(self) -> tuple[Operation, ...]:
        return tuple(operation for operation in self.batch.operations if operation.close)


class LedgerBooks:
    """Every method is one transaction, durable when it returns."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def tree(self) -> list[Leaf]:
        """The leaves, by index."""
        async with self._store.read() as connection:
            rows = await connection.execute(select(books.tree_leaves).order_by(books.tree_leaves.c.leaf_index))
            return [_leaf(row) for row in rows]

    async def count_leaves(self) -> int:
        async with self._store.read() as connection:
            return int((await connection.execute(select(func.count()).select_from(books.tree_leaves))).scalar_one())

    async def replace_tree(self, leaves: Iterable[Leaf]) -> None:
        """Take over a tree that the chain's root has proven."""
        async with self._store.begin() as connection:
            await connection.execute(delete(books.tree_leaves))
            rows = [_row(leaf) for leaf in leaves]
            for first in range(0, len(rows), _MANY):
                await connection.execute(insert(books.tree_leaves), rows[first : first + _MANY])

    async def keep(self, batch: Batch, proof: Proof, refunded: AttoFil, at: int) -> Kept:
        """A batch that was just proven."""
        async with self._store.begin() as connection:
            added = await connection.execute(
                insert(books.settlements).values(
                    state=BatchState.PROVEN.value,
                    created_at=at,
                    old_root=proof.old_root,
                    new_root=proof.new_root,
                    size=batch.size,
                    leaf_window=batch.window,
                    constraints=proof.constraints,
                    witness_millis=round(proof.witness_seconds * 1000),
                    prove_millis=round(proof.prove_seconds * 1000),
                    earned=str(proof.earned.value),
                    refunded=str(refunded.value),
                    operations=json.dumps([_operation_to_json(operation) for operation in batch.operations]),
                    proof=json.dumps([proof.c, proof.r, proof.e, *proof.proof]),
                )
            )
            key = added.inserted_primary_key
        assert key is not None, "an insert gives its key"
        return Kept(key[0], BatchState.PROVEN, batch, proof, refunded, at, 0, "", 0, 0, ZERO)

    async def kept(self, *states: BatchState) -> list[Kept]:
        """The batches in these states, oldest first."""
        query = (
            select(books.settlements)
            .where(books.settlements.c.state.in_([state.value for state in states]))
            .order_by(books.settlements.c.id)
        )
        async with self._store.read() as connection:
            return [_kept(row) for row in await connection.execute(query)]

    async def mark(self, kept: Kept, state: BatchState) -> None:
        async with self._store.begin() as connection:
            await _mark(connection, kept.id, state=state.value)

    async def mined(self, kept: Kept, receipt: Receipt, at: int) -> None:
        """The batch is in a block: tree and leases are as it leaves them."""
        async with self._store.begin() as connection:
            await _mark(
                connection, kept.id, state=BatchState.MINED.value, settled_at=at, tx=receipt.tx, block=receipt.block,
                gas=receipt.gas, fee=str(receipt.fee.value),
            )  # fmt: skip
            for operation in kept.batch.operations:
                after, index = operation.after(), operation.leaf.index
                await connection.execute(delete(books.tree_leaves).where(books.tree_leaves.c.leaf_index == index))
                if after is not None:
                    await connection.execute(insert(books.tree_leaves).values(_row(after)))
                else:
                    await _settle_lease(connection, operation.leaf.lease, 0, str(operation.amount.value))
            await _post(connection, "settle", receipt, ZERO, at)

    async def moved(self, kept: Kept, receipt: Receipt) -> None:
        """The batch is in another block than before."""
        async with self._store.begin() as connection:
            await _mark(connection, kept.id, block=receipt.block)

    async def taken_back(self, kept: Kept) -> None:
        """A reorganisation took the batch out of the chain: it is on its way again, its leases are open.

        The tree isn't touched: it is rebuilt from the chain.
        """
        async with self._store.begin() as connection:
            await _mark(connection, kept.id, state=BatchState.POSTING.value, tx="", block=0)
            await connection.execute(delete(books.postings).where(books.postings.c.tx == kept.tx))
            for operation in kept.closing:
                await _reopen_lease(connection, operation.leaf.lease)

    async def closed(self, leases: Sequence[LeaseId], block: int, paid: AttoFil | None = None) -> None:
        """These leases are closed without a batch of ours; a reorganisation may take that back until `block` is final.

        Block 0: it is final, or it never was on chain. `paid` is what the ledger says, if others closed them.
        """
        async with self._store.begin() as connection:
            for lease in leases:
                await _settle_lease(connection, lease, block, "" if paid is None else str(paid.value))

    async def forgone(self) -> dict[LeaseId, AttoFil]:
        """By closed lease: what its last voucher was worth beyond what was redeemed.

        Others closed it, or it was not on chain, or its top-up wasn't.
        """
        columns = books.leases.c
        query = select(columns.lease_id, columns.paid, columns.closed_paid).where(columns.closed_paid != "")
        async with self._store.read() as connection:
            rows = [(row, int(row.paid) - int(row.closed_paid)) for row in await connection.execute(query)]
        return {LeaseId(row.lease_id): AttoFil(lost) for row, lost in rows if lost > 0}

    async def reopened(self, lease: LeaseId) -> None:
        async with self._store.begin() as connection:
            await _reopen_lease(connection, lease)

    async def certain(self, lease: LeaseId) -> None:
        """Nothing takes its close back any more."""
        async with self._store.begin() as connection:
            await _set_lease(connection, lease, closed_block=0)

    async def uncertain(self) -> list[tuple[LeaseId, int]]:
        """Leases that were closed without a batch of ours, in a block that isn't known to be final."""
        query = select(books.leases.c.lease_id, books.leases.c.closed_block).where(books.leases.c.closed_block > 0)
        async with self._store.read() as connection:
            return [(LeaseId(row.lease_id), row.closed_block) for row in await connection.execute(query)]

    async def post(self, kind: str, receipt: Receipt, amount: AttoFil, at: int) -> None:
        """Note a transaction that we paid for."""
        async with self._store.begin() as connection:
            await _post(connection, kind, receipt, amount, at)

    async def last_gas(self) -> int:
        """The gas of the last batch; 0 before the first."""
        query = select(books.settlements.c.gas).order_by(books.settlements.c.id.desc()).limit(1)
        query = query.where(books.settlements.c.gas > 0)
        async with self._store.read() as connection:
            return int((await connection.execute(query)).scalar_one_or_none() or 0)

    async def postings(self, since: int) -> list[dict[str, Any]]:
        """The transactions since then: kind, time, hash, fee and amount in attoFIL."""
        query = select(books.postings).where(books.postings.c.at >= since).order_by(books.postings.c.id)
        async with self._store.read() as connection:
            return [
                {"kind": row.kind, "at": row.at, "tx": row.tx, "fee": AttoFil(int(row.fee)), "amount": int(row.amount)}
                for row in await connection.execute(query)
            ]


async def _set_lease(connection: AsyncConnection, lease: LeaseId, **values: Any) -> None:
    await connection.execute(update(books.leases).where(books.leases.c.lease_id == lease).values(**values))


async def _settle_lease(connection: AsyncConnection, lease: LeaseId, block: int, paid: str = "") -> None:
    """An ended lease is settled; one that still runs here, though it is closed on chain, must be ended first."""
    ended = (books.leases.c.lease_id == lease) & (books.leases.c.state == LeaseState.ENDED.value)
    change = update(books.leases).where(ended)
    await connection.execute(change.values(state=LeaseState.SETTLED.value, closed_block=block, closed_paid=paid))


async def _reopen_lease(connection: AsyncConnection, lease: LeaseId) -> None:
    settled = (books.leases.c.lease_id == lease) & (books.leases.c.state == LeaseState.SETTLED.value)
    change = update(books.leases).where(settled)
    await connection.execute(change.values(state=LeaseState.ENDED.value, closed_block=0, closed_paid=""))


async def _mark(connection: AsyncConnection, settlement: int, **values: Any) -> None:
    await connection.execute(update(books.settlements).where(books.settlements.c.id == settlement).values(**values))


async def _post(connection: AsyncConnection, kind: str, receipt: Receipt, amount: AttoFil, at: int) -> None:
    await connection.execute(
        insert(books.postings).values(
            kind=kind, at=at, tx=receipt.tx, block=receipt.block, gas=receipt.gas, fee=str(receipt.fee.value),
            amount=str(amount.value),
        )
    )  # fmt: skip


def _row(leaf: Leaf) -> dict[str, Any]:
    return {
        "leaf_index": leaf.index,
        "lease_id": leaf.lease,
        "key_x": leaf.key.x,
        "key_y": leaf.key.y,
        "amount": str(leaf.amount.value),
        "seconds": leaf.seconds,
    }


def _leaf(row: Row[Any]) -> Leaf:
    key = PayKey(row.key_x, row.key_y)
    return Leaf(row.leaf_index, LeaseId(row.lease_id), key, AttoFil(int(row.amount)), row.seconds)


def _kept(row: Row[Any]) -> Kept:
    operations = tuple(_operation_from_json(raw) for raw in json.loads(row.operations))
    words = json.loads(row.proof) if row.proof else ["0x0"] * 11
    proof = Proof(
        row.size, row.leaf_window, row.old_root, row.new_root, AttoFil(int(row.earned)), words[0], words[1], words[2],
        tuple(words[3:]), constraints=row.constraints, witness_seconds=row.witness_millis / 1000,
        prove_seconds=row.prove_millis / 1000,
    )  # fmt: skip
    return Kept(
        row.id,
        BatchState(row.state),
        Batch(row.size, row.leaf_window, operations),
        proof,
        AttoFil(int(row.refunded)),
        row.created_at,
        row.settled_at,
        row.tx,
        row.block,
        row.gas,
        AttoFil(int(row.fee)),
    )


def _operation_to_json(operation: Operation) -> dict[str, Any]:
    leaf, voucher = operation.leaf, operation.voucher
    return {
        "lease": leaf.lease,
        "index": leaf.index,
        "key": [leaf.key.x, leaf.key.y],
        "from": [str(leaf.amount.value), leaf.seconds],
        "insert": operation.insert,
        "close": operation.close,
        "amount": str(operation.amount.value),
        "seconds": operation.seconds,
        "signature": voucher.signature if voucher else None,
        "reason": int(operation.reason),
    }


def _operation_from_json(raw: dict[str, Any]) -> Operation:
    """An operation; those of the ledger's first form lack what it takes to post them again, and are only shown."""
    lease, amount = LeaseId(raw["lease"]), AttoFil(int(raw["amount"]))
    before = raw.get("from", [raw["amount"], raw["seconds"]])
    leaf = Leaf(raw["index"], lease, PayKey(*raw.get("key", ["0x0", "0x0"])), AttoFil(int(before[0])), before[1])
    signature = raw.get("signature")
    voucher = Voucher(lease, amount, raw["seconds"], signature) if signature else None
    return Operation(leaf, raw.get("insert", False), raw["close"], voucher, EndReason(raw.get("reason", 0)))
