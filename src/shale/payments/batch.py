"""Batch: which leases one proof redeems, in which window of the tree, and what it must come to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from shale.market.lease import EndReason
from shale.market.order import PayKey
from shale.payments.voucher import Voucher
from shale.units import ZERO, AttoFil, LeaseId

TREE_DEPTH = 20
SIZES = (1, 8, 64, 256)
"""The sizes that a batch may have: each has a circuit, keys and a verifier of its own (docs/protocol.md, section 4)."""

MAX_LEAVES = 2**TREE_DEPTH
"""A provider takes no new lease once its tree and its living leases come to so many: more have no place in its tree."""

SUBTREE_HEIGHT = 12
"""The kernel is told a tree in aligned subtrees of this height (docs/protocol.md, section 6); a window lies in one."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What was redeemed of a lease, in the provider's tree at `index`."""

    index: int
    lease: LeaseId
    key: PayKey
    amount: AttoFil = ZERO
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """One *update lease*: on a new leaf or an open one, with a voucher or without, closing it or not.

    `reason` is why the lease ended; it goes to the chain with a close.
    """

    leaf: Leaf
    insert: bool
    close: bool
    voucher: Voucher | None
    reason: EndReason = EndReason.NONE

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

    def after(self) -> Leaf | None:
        """The leaf that it leaves; None if the index is free again."""
        if self.close:
            return None
        return Leaf(self.leaf.index, self.leaf.lease, self.leaf.key, self.amount, self.seconds)


@dataclass(frozen=True, slots=True)
class Batch:
    """Operations of one aligned window: slot i is the leaf index `window * size + i`; slots ascend, none twice."""

    size: int
    window: int
    operations: tuple[Operation, ...]

    @property
    def earned(self) -> AttoFil:
        return sum((operation.earned for operation in self.operations), ZERO)

    @property
    def leases(self) -> tuple[LeaseId, ...]:
        return tuple(operation.leaf.lease for operation in self.operations)


@dataclass(frozen=True, slots=True)
class Claimable:
    """A lease as the provider's books have it, when a batch is put together. `leaf` is None outside of the tree."""

    lease: LeaseId
    key: PayKey
    deposit: AttoFil
    ended: bool
    voucher: Voucher | None
    leaf: Leaf | None
    reason: EndReason = EndReason.NONE

    @property
    def redeemed(self) -> AttoFil:
        return self.leaf.amount if self.leaf else ZERO

    @property
    def grown(self) -> AttoFil:
        """What its voucher is worth beyond what was redeemed."""
        amount = self.voucher.amount if self.voucher else ZERO
        return amount - self.redeemed if amount > self.redeemed else ZERO

    @property
    def moves(self) -> bool:
        """A batch can do something for it. One that ended with nothing paid and no leaf is refunded without a proof."""
        return bool(self.grown) or (self.ended and self.leaf is not None)

    def operation(self, index: int) -> Operation:
        """What a batch does with it; a new leaf gets `index`."""
        leaf = self.leaf or Leaf(index, self.lease, self.key)
        voucher = self.voucher if self.grown else None
        reason = self.reason if self.ended else EndReason.NONE
        return Operation(leaf, self.leaf is None, self.ended, voucher, reason)


@dataclass(frozen=True, slots=True)
class Proof:
    """A batch's proof. Words are 0x-hex: `words` the batch data m, if asked for, `proof` eight words of Groth16."""

    size: int
    window: int
    old_root: str
    new_root: str
    earned: AttoFil
    c: str
    r: str
    e: str
    proof: tuple[str, ...]
    constraints: int
    witness_seconds: float
    prove_seconds: float
    words: tuple[str, ...] = ()


def plan_batch(
    claimables: Iterable[Claimable],
    leaves: Iterable[Leaf],
    sizes: Collection[int] = SIZES,
    demanded: LeaseId | None = None,
) -> Batch | None:
    """The next batch, or None if there is nothing to do for anybody.

    `leaves` are all of the tree's, `sizes` those that can be proven. The batch serves the lease whose close is demanded
    (without it the contract takes none), then as many ended leases as one window can, then as many grown vouchers; and
    among batches that serve the same, it is the smallest one, at the lowest window. A lease that isn't in the tree
    rides on any free slot: leases that pay on thereby gather in the windows that are in use.
    """
    items = [replace(item, ended=True) if item.lease == demanded else item for item in claimables]
    wanted = sorted((item for item in items if item.moves), key=lambda item: _rank(item, demanded))
    if not wanted or (demanded is not None and wanted[0].lease != demanded):
        return None
    used = sorted(leaf.index for leaf in leaves)
    best: tuple[tuple[int, int, int], int, int, list[Claimable]] | None = None
    for size in sorted(sizes):
        for window, served in _windows(wanted, used, size):
            score = _score(served, demanded)
            if best is None or score > best[0]:
                best = (score, size, window, served)
    if best is None or (demanded is not None and not best[0][0]):
        return None
    _, size, window, served = best
    return Batch(size, window, tuple(_operations(served, set(used), size, window)))


def worth_their_share(
    claimables: Mapping[LeaseId, Claimable], fee: AttoFil, demanded: LeaseId | None = None
) -> dict[LeaseId, Claimable]:
    """Without the leases that run on and whose vouchers are worth less than their share of a batch's fee.

    The ended ones, and the one whose close is demanded, stay whatever they are worth: their clients wait for their
    deposits. They bear their shares, so that those that run on share the fee with them.
    """
    due = {lease for lease, item in claimables.items() if item.moves and (item.ended or lease == demanded)}
    rest = sorted((item for item in claimables.values() if item.lease not in due), key=lambda item: -item.grown.value)
    worth = [many for many, item in enumerate(rest, 1) if item.grown.value * (len(due) + many) >= fee.value]
    poor = {item.lease for item in rest[max(worth, default=0) :]}
    return {lease: item for lease, item in claimables.items() if lease not in poor}


def _rank(item: Claimable, demanded: LeaseId | None) -> tuple[bool, bool, int]:
    """Who comes first: the demanded one, the ended ones, then who has most to redeem."""
    return item.lease != demanded, not item.ended, -item.grown.value


def _score(served: Iterable[Claimable], demanded: LeaseId | None) -> tuple[int, int, int]:
    counts = [0, 0, 0]
    for item in served:
        counts[0 if item.lease == demanded else 1 if item.ended else 2] += 1
    return counts[0], counts[1], counts[2]


def _windows(wanted: list[Claimable], used: list[int], size: int) -> Iterable[tuple[int, list[Claimable]]]:
    """The windows worth a look, and whom each would serve: all in which a leaf stands, and the first empty one."""
    standing: defaultdict[int, list[Claimable]] = defaultdict(list)
    arriving: list[Claimable] = []
    for item in wanted:
        if item.leaf is None:
            arriving.append(item)
        else:
            standing[item.leaf.index // size].append(item)
    taken: defaultdict[int, int] = defaultdict(int)
    for index in used:
        taken[index // size] += 1
    last = 2**TREE_DEPTH // size
    empty = next((window for window in range(last) if window not in taken), None)
    for window in sorted({*taken, *(() if empty is None else (empty,))}):
        free = size - taken[window]
        served = standing[window] + arriving[:free]
        if served:
            yield window, served


def _operations(served: list[Claimable], used: set[int], size: int, window: int) -> list[Operation]:
    free = (index for index in range(window * size, (window + 1) * size) if index not in used)
    made = [item.operation(item.leaf.index if item.leaf else next(free)) for item in served]
    return sorted(made, key=lambda operation: operation.leaf.index)
