"""Lease: the state of one rental and the transitions that both sides follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum

from shale.errors import Closed
from shale.units import ZERO, AttoFil, LeaseId, OrderHash, lease_id_of


class LeaseState(Enum):
    """Where a lease is. SETTLED: its money has been redeemed and refunded on chain."""

    ACCEPTED = "accepted"
    STARTING = "starting"
    RUNNING = "running"
    FROZEN = "frozen"
    ENDED = "ended"
    SETTLED = "settled"

    @property
    def holds_stock(self) -> bool:
        return self not in (LeaseState.ENDED, LeaseState.SETTLED)

    @property
    def lives(self) -> bool:
        """A container runs, or is frozen, for it."""
        return self in (LeaseState.RUNNING, LeaseState.FROZEN)


class EndReason(IntEnum):
    """Why a lease ended; the numbers stand in the signed End and on chain."""

    NONE = 0
    CLIENT_ENDED = 1
    PROVIDER_ENDED = 2
    UNPAID = 3
    COLLATERAL_SPENT = 4
    EXPIRED = 5
    VERDICT = 6
    HOST_FAILURE = 7
    START_FAILED = 8
    ANCHOR_FAILED = 9

    @property
    def text(self) -> str:
        return self.name.lower()


_NEXT = {
    LeaseState.ACCEPTED: {LeaseState.STARTING, LeaseState.ENDED},
    LeaseState.STARTING: {LeaseState.RUNNING, LeaseState.ENDED},
    LeaseState.RUNNING: {LeaseState.FROZEN, LeaseState.ENDED},
    LeaseState.FROZEN: {LeaseState.RUNNING, LeaseState.ENDED},
    LeaseState.ENDED: {LeaseState.SETTLED},
    LeaseState.SETTLED: set(),
}


@dataclass(frozen=True, slots=True)
class Lease:
    """One lease: `paid` and `seconds` are those of the highest voucher; `served` the seconds given so far."""

    order: OrderHash
    state: LeaseState = LeaseState.ACCEPTED
    paid: AttoFil = ZERO
    seconds: int = 0
    end_reason: EndReason = EndReason.NONE
    ended_at: int = 0

    @property
    def id(self) -> LeaseId:
        return lease_id_of(self.order)

    def to(self, state: LeaseState) -> Lease:
        """The lease in its next state. Raises Closed when the way there doesn't exist."""
        if state not in _NEXT[self.state]:
            raise Closed(f"the lease is {self.state.value}, it cannot become {state.value}")
        return replace(self, state=state)

    def end(self, reason: EndReason, at: int) -> Lease:
        """The ended lease; ending an ended one changes nothing: the first reason stays."""
        if self.state in (LeaseState.ENDED, LeaseState.SETTLED):
            return self
        return replace(self.to(LeaseState.ENDED), end_reason=reason, ended_at=at)
