"""History: what the chain's events tell of one provider's leases, and the tree that follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True)
class ShardHistory:
    """One provider's events in the chain's order, from the deployment up to and including block `until`."""

    provider: Address
    until: int
    events: tuple[ShardEvent, ...]

    @property
    def batches(self) -> list[BatchSettled]:
        return [event for event in self.events if isinstance(event, BatchSettled)]

    @property
    def closed(self) -> dict[LeaseId, LeaseClosed]:
        return {event.lease: event for event in self.events if isinstance(event, LeaseClosed)}

    @property
    def exited(self) -> frozenset[LeaseId]:
        """The leases that are closed, and whose leaves stay all the same."""
        return frozenset(event.lease for event in self.events if isinstance(event, LeaseExited))

    def leads_to(self, root: str, empty: str) -> bool:
        """Whether the batches lead from the empty tree's root, each from where the one before led, to `root`."""
        now = empty
        for batch in self.batches:
            if batch.old_root != now:
                return False
            now = batch.new_root
        return now == root

    def at(self, root: str, empty: str) -> ShardHistory | None:
        """The history up to the last batch that led to `root`; None if the batches don't lead there.

        `empty` is the root of the empty tree: each batch must start from where the one before it led.
        """
        now, until, count = empty, 0, 0 if root == empty else None
        for position, event in enumerate(self.events, 1):
            if not isinstance(event, BatchSettled):
                continue
            if event.old_root != now:
                break
            now = event.new_root
            if now == root:
                until, count = event.block, position
        return None if count is None else ShardHistory(self.provider, until, self.events[:count])


def tree_of(events: Iterable[ShardEvent]) -> list[Leaf]:
    """The leaves that stand after these events, by index: whether they are the tree's, its root says.

    The leaf of a lease that was exited is among them, and nothing moves it any more.
    Raises Refused when the events contradict each other: then some are missing, or a node made them up.
    """
    keys: dict[LeaseId, PayKey] = {}
    leaves: dict[int, Leaf] = {}
    dead: set[int] = set()
    for event in events:
        if isinstance(event, LeaseLocked):
            keys[event.lease] = event.key
        elif isinstance(event, LeaseOperated):
            if event.index in dead:
                raise _contradiction(event)
            _apply(event, keys, leaves)
        elif isinstance(event, LeaseExited):
            standing = leaves.get(event.index)
            if standing is None or standing.lease != event.lease or event.index in dead:
                raise _contradiction(event)
            dead.add(event.index)
    return [leaves[index] for index in sorted(leaves)]


def _apply(event: LeaseOperated, keys: dict[LeaseId, PayKey], leaves: dict[int, Leaf]) -> None:
    standing = leaves.get(event.index)
    if event.flags & _INSERT:
        if standing is not None or event.lease not in keys or not 0 <= event.index < 2**TREE_DEPTH:
            raise _contradiction(event)
        standing = Leaf(event.index, event.lease, keys[event.lease])
    if standing is None or standing.lease != event.lease:
        raise _contradiction(event)
    if event.amount < standing.amount or event.seconds < standing.seconds:
        raise _contradiction(event)
    if event.flags & _CLOSE:
        leaves.pop(event.index, None)
    else:
        leaves[event.index] = replace(standing, amount=event.amount, seconds=event.seconds)


def _contradiction(event: LeaseOperated | LeaseExited) -> Refused:
    return Refused(
        f"the chain's events contradict each other at lease {event.lease[:12]} in block {event.block}",
        "ask another node: this one may lack some",
    )
