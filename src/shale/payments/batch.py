"""Batch: which leases one proof redeems, and what it must come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from shale.market.order import PayKey
from shale.payments.voucher import Voucher
from shale.units import ZERO, AttoFil, LeaseId

TREE_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Leaf:
    """A lease's balance in the provider's tree, at `index`."""

    index: int
    lease: LeaseId
    key: PayKey
    deposit: AttoFil
    amount: AttoFil = ZERO
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """One *update lease*: on a new leaf or an open one, with a voucher or without, closing it or not."""

    leaf: Leaf
    insert: bool
    close: bool
    voucher: Voucher | None

    @property
    def amount(self) -> AttoFil:
        return self.voucher.amount if self.voucher else self.leaf.amount

    @property
    def seconds(self) -> int:
        return self.voucher.seconds if self.voucher else self.leaf.seconds

    @property
    def earned(self) -> AttoFil:
        """What the provider gains by it."""
        return self.amount - self.leaf.amount

    @property
    def refund(self) -> AttoFil:
        """What goes back to the client: only a close gives any."""
        return self.leaf.deposit - self.amount if self.close else ZERO

    @property
    def moves(self) -> bool:
        """False if it would change nothing."""
        return self.insert or self.close or bool(self.earned)

    def after(self) -> Leaf | None:
        """The leaf that it leaves; None if the index is free again."""
        if self.close:
            return None
        return Leaf(self.leaf.index, self.leaf.lease, self.leaf.key, self.leaf.deposit, self.amount, self.seconds)


@dataclass(frozen=True, slots=True)
class Claimable:
    """A lease as the provider's books have it, when a batch is put together.

    `queued` is its place in the contract's deposit queue, None once its leaf stands in the tree.
    """

    lease: LeaseId
    key: PayKey
    deposit: AttoFil
    ended: bool
    voucher: Voucher | None
    queued: int | None
    leaf: Leaf | None


@dataclass(frozen=True, slots=True)
class Proof:
    """A batch's proof. Words are 0x-hex; `words` is the batch data m, `proof` eight words of Groth16."""

    old_root: str
    new_root: str
    c: str
    r: str
    e: str
    proof: tuple[str, ...]
    words: tuple[str, ...]
    constraints: int
    prove_seconds: float


def plan_batch(
    claimables: Iterable[Claimable], leaves: Iterable[Leaf], most: int, demanded: LeaseId | None = None
) -> list[Operation]:
    """The operations of the next batch, at most `most`.

    Deposits are inserted in the order of the contract's queue, without a gap, since the contract takes no other;
    then open leaves whose lease has ended or whose voucher has grown. Free indices are used from the lowest.

    While a lease's close is demanded the contract takes no batch but one that closes it, or, as long as its deposit
    lies deeper in the queue than a batch reaches, bare insertions.
    """
    used = {leaf.index for leaf in leaves}
    free = (index for index in range(2**TREE_DEPTH) if index not in used)
    items = [replace(item, ended=True) if item.lease == demanded else item for item in claimables]
    queue = sorted((item for item in items if item.queued is not None), key=lambda item: item.queued or 0)
    if any(item.lease == demanded for item in queue[most:]):
        return [
            Operation(Leaf(next(free), item.lease, item.key, item.deposit), True, False, None) for item in queue[:most]
        ]
    operations = [
        Operation(Leaf(next(free), item.lease, item.key, item.deposit), True, item.ended, item.voucher)
        for item in queue
    ]
    for item in items:
        if item.leaf is not None:
            grown = item.voucher if item.voucher and item.voucher.amount > item.leaf.amount else None
            operation = Operation(item.leaf, False, item.ended, grown)
            operations.insert(0 if item.lease == demanded else len(operations), operation)
    return [operation for operation in operations if operation.moves][:most]
