"""History: what the chain's events tell of one provider's leases, and the tree that follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from shale.errors import Refused
from shale.market.lease import EndReason
from shale.market.order import PayKey
from shale.payments.batch import TREE_DEPTH, Leaf
from shale.units import Address, AttoFil, LeaseId

_INSERT, _CLOSE = 1, 4


@dataclass(frozen=True, slots=True)
class LeaseLocked:
    """A deposit was locked, for a lease that pays with this key."""

    block: int
    lease: LeaseId
    client: Address
    deposit: AttoFil
    key: PayKey


@dataclass(frozen=True, slots=True)
class LeaseOperated:
    """One operation of a batch: `amount` and `seconds` are those of the leaf after it; `flags` as in a batch."""

    block: int
    lease: LeaseId
    index: int
    flags: int
    amount: AttoFil
    seconds: int


@dataclass(frozen=True, slots=True)
class BatchSettled:
    """A batch moved the root; `tx` is its transaction."""

    block: int
    tx: str
    old_root: str
    new_root: str
    window: int
    size: int
    earned: AttoFil


@dataclass(frozen=True, slots=True)
class LeaseClosed:
    """A lease is closed, by a batch or by a refund."""

    block: int
    lease: LeaseId
    client: Address
    paid: AttoFil
    refund: AttoFil
    seconds: int
    reason: EndReason


@dataclass(frozen=True, slots=True)
class LeaseExited:
    """A lease was closed on the root at which its close was demanded: its leaf stays in the tree for ever."""

    block: int
    lease: LeaseId
    root: str
    index: int


ShardEvent = LeaseLocked | LeaseOperated | BatchSettled | LeaseClosed | LeaseExited


@dataclass(slots=True)
class ShardFold:
    """What a provider's events come to, folded in one after the other: it grows with its open leases, not with them.

    `root` is where its batches led; `leaves` are those that stand, by index, `exited` the leases of those among them
    that nothing moves any more, and `locked` the keys of open leases that have no leaf. `moving` says that a batch's
    operations are in it and its root isn't yet: then `leaves` have another root than `root`.
    """

    root: str = ""
    batches: int = 0
    moving: bool = False
    locked: dict[LeaseId, PayKey] = field(default_factory=dict)
    leaves: dict[int, Leaf] = field(default_factory=dict)
    exited: dict[int, LeaseId] = field(default_factory=dict)

    @property
    def open(self) -> int:
        """How many leases it holds."""
        return len(self.locked) + len(self.leaves)

    def apply(self, event: ShardEvent) -> None:
        """Fold one event in. Raises Refused when it contradicts those before it: some are missing, or made up."""
        if isinstance(event, LeaseOperated):
            self._operate(event)
        elif isinstance(event, LeaseLocked):
            self.locked[event.lease] = event.key
        elif isinstance(event, LeaseClosed):
            self.locked.pop(event.lease, None)
        elif isinstance(event, LeaseExited):
            standing = self.leaves.get(event.index)
            if standing is None or standing.lease != event.lease or event.index in self.exited:
                raise _contradiction(event)
            self.exited[event.index] = event.lease
        else:
            self.root, self.batches, self.moving = event.new_root, self.batches + 1, False

    def copy(self) -> ShardFold:
        return replace(self, locked=dict(self.locked), leaves=dict(self.leaves), exited=dict(self.exited))

    def tree(self) -> list[Leaf]:
        return [self.leaves[index] for index in sorted(self.leaves)]

    def to_json(self) -> dict[str, Any]:
        return {
            "root": self.root,
            "batches": self.batches,
            "moving": self.moving,
            "locked": [[lease, key.x, key.y] for lease, key in self.locked.items()],
            "leaves": [
                [leaf.index, leaf.lease, leaf.key.x, leaf.key.y, leaf.amount.value, leaf.seconds]
                for leaf in self.leaves.values()
            ],
            "exited": list(self.exited.items()),
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> ShardFold:
        """What `to_json` gave: our own file, not another's."""
        return cls(
            raw["root"],
            raw["batches"],
            raw["moving"],
            {LeaseId(lease): PayKey(x, y) for lease, x, y in raw["locked"]},
            {
                index: Leaf(index, LeaseId(lease), PayKey(x, y), AttoFil(amount), seconds)
                for index, lease, x, y, amount, seconds in raw["leaves"]
            },
            {index: LeaseId(lease) for index, lease in raw["exited"]},
        )

    def _operate(self, event: LeaseOperated) -> None:
        standing = self.leaves.get(event.index)
        if event.index in self.exited:
            raise _contradiction(event)
        if event.flags & _INSERT:
            key = self.locked.get(event.lease)
            if standing is not None or key is None or not 0 <= event.index < 2**TREE_DEPTH:
                raise _contradiction(event)
            standing = Leaf(event.index, event.lease, key)
        if standing is None or standing.lease != event.lease:
            raise _contradiction(event)
        if event.amount < standing.amount or event.seconds < standing.seconds:
            raise _contradiction(event)
        self.locked.pop(event.lease, None)
        self.moving = True
        if event.flags & _CLOSE:
            self.leaves.pop(event.index, None)
        else:
            self.leaves[event.index] = replace(standing, amount=event.amount, seconds=event.seconds)


@dataclass(frozen=True, slots=True)
class ShardHistory:
    """One provider's events in the chain's order, up to and including block `until`.

    `events` are the newest of them: of those before, from the deployment on, there is what they came to, `base`.
    """

    provider: Address
    until: int
    events: tuple[ShardEvent, ...]
    base: ShardFold = field(default_factory=ShardFold)

    @property
    def batches(self) -> list[BatchSettled]:
        """Those among `events`."""
        return [event for event in self.events if isinstance(event, BatchSettled)]

    @property
    def count(self) -> int:
        """How many batches there were in all."""
        return self.base.batches + len(self.batches)

    @property
    def root(self) -> str:
        """Where the last batch led; empty without any."""
        return self.batches[-1].new_root if self.batches else self.base.root

    @property
    def closed(self) -> dict[LeaseId, LeaseClosed]:
        """Those among `events`."""
        return {event.lease: event for event in self.events if isinstance(event, LeaseClosed)}

    @property
    def exited(self) -> frozenset[LeaseId]:
        """The leases that are closed, and whose leaves stay all the same."""
        newest = (event.lease for event in self.events if isinstance(event, LeaseExited))
        return frozenset((*self.base.exited.values(), *newest))

    def tree(self) -> list[Leaf]:
        """The leaves that stand after all events (see `tree_of`)."""
        return self.folded().tree()

    def folded(self) -> ShardFold:
        """What all events come to. Raises Refused when they contradict each other."""
        fold = self.base.copy()
        for event in self.events:
            fold.apply(event)
        return fold

    def leads_to(self, root: str, empty: str) -> bool:
        """Whether the batches lead from the empty tree's root, each from where the one before led, to `root`."""
        return (self.root or empty) == root and self.is_chained(empty)

    def is_chained(self, empty: str) -> bool:
        """Whether each batch starts from where the one before it led, and the first from the empty tree's root."""
        now = self.base.root or empty
        for batch in self.batches:
            if batch.old_root != now:
                return False
            now = batch.new_root
        return True

    def at(self, root: str, empty: str) -> ShardHistory | None:
        """The history up to the last batch that led to `root`; None if those that `events` tell of don't lead there.

        `empty` is the root of the empty tree: each batch must start from where the one before it led.
        """
        now = self.base.root or empty
        until, count = 0, 0 if root == now and not self.base.moving else None
        for position, event in enumerate(self.events, 1):
            if not isinstance(event, BatchSettled):
                continue
            if event.old_root != now:
                break
            now = event.new_root
            if now == root:
                until, count = event.block, position
        return None if count is None else ShardHistory(self.provider, until, self.events[:count], self.base)


def tree_of(events: Iterable[ShardEvent]) -> list[Leaf]:
    """The leaves that stand after these events, by index: whether they are the tree's, its root says.

    The leaf of a lease that was exited is among them, and nothing moves it any more.
    Raises Refused when the events contradict each other: then some are missing, or a node made them up.
    """
    fold = ShardFold()
    for event in events:
        fold.apply(event)
    return fold.tree()


def _contradiction(event: LeaseOperated | LeaseExited) -> Refused:
    return Refused(
        f"the chain's events contradict each other at lease {event.lease[:12]} in block {event.block}",
        "ask another node: this one may lack some",
    )
