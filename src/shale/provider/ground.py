"""Ground: what a settlement plans on, and what a batch makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from shale.chain.chain import Heads, Shard
from shale.payments.batch import SIZES, Claimable, Leaf
from shale.payments.history import BatchSettled
from shale.provider.ledger_books import Kept
from shale.units import AttoFil, LeaseId


@dataclass(slots=True)
class Ground:
    """What a run plans on: the chain's time and shard, the tree that is its, and what each lease can claim."""

    heads: Heads
    now: int
    shard: Shard
    leaves: dict[int, Leaf]
    waiting: int
    """Transactions of the operator that were in no block."""
    claimables: dict[LeaseId, Claimable] = field(default_factory=dict)
    deposits: dict[LeaseId, AttoFil] = field(default_factory=dict)
    idle: list[LeaseId] = field(default_factory=list)
    """Ended leases with a deposit on chain that earned nothing: they are refunded."""
    largest: int = max(SIZES)
    """The largest batch that is planned: a larger one's gas was too dear."""


def is_of(event: BatchSettled, kept: Kept, block: int) -> bool:
    proof = kept.proof
    ours = (block, proof.window, proof.size, int(proof.old_root, 16), int(proof.new_root, 16))
    return (event.block, event.window, event.size, int(event.old_root, 16), int(event.new_root, 16)) == ours


def advance(ground: Ground, kept: Kept) -> None:
    """The ground after a batch: its leases have had what they could claim."""
    ground.shard = Shard(
        kept.proof.new_root,
        ground.shard.owed,
        None if ground.shard.demanded in closed_by(kept) else ground.shard.demanded,
    )
    for operation in kept.batch.operations:
        after = operation.after()
        ground.leaves.pop(operation.leaf.index, None)
        ground.claimables.pop(operation.leaf.lease, None)
        if after is not None:
            ground.leaves[after.index] = after


def closed_by(kept: Kept) -> set[LeaseId | None]:
    return {operation.leaf.lease for operation in kept.closing}
