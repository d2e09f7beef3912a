"""Meter: decides, from the seconds served and paid, when to ask, freeze, thaw and end. Pure: time is given to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from shale.market.lease import EndReason
from shale.units import AttoFil, Price


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed: `grace` seconds are served unpaid before a freeze, `patience` ones frozen before the end."""

    price: Price
    tick_seconds: int
    max_seconds: int
    grace: int = 0
    patience: int = 600


class Action(Enum):
    """What the meter's owner must do now."""

    NOTHING = "nothing"
    ASK = "ask"
    FREEZE = "freeze"
    THAW = "thaw"
    END = "end"


@dataclass(frozen=True, slots=True)
class Meter:
    """The meter of one lease.

    `served` seconds run only while the container does; `paid_seconds` are those of the highest voucher;
    `asked` is the tick of the last reading sent; `frozen_for` counts seconds since a freeze.
    """

    terms: Terms
    served: float = 0.0
    paid_seconds: int = 0
    asked: int = 0
    frozen: bool = False
    frozen_for: float = 0.0

    @property
    def last_tick(self) -> int:
        """The tick that ends with the time bought by the collateral."""
        return self.terms.max_seconds // self.terms.tick_seconds

    @property
    def wanted_tick(self) -> int:
        """The tick whose payment is due now: the one that the next served second belongs to."""
        return min(int(self.served // self.terms.tick_seconds) + 1, self.last_tick)

    def seconds_at(self, tick: int) -> int:
        return tick * self.terms.tick_seconds

    def due_at(self, tick: int) -> AttoFil:
        return self.terms.price.over(self.seconds_at(tick))

    def tick_of(self, seconds: int) -> int:
        return seconds // self.terms.tick_seconds

    def passed(self, seconds: float) -> Meter:
        """The meter after `seconds` more of the clock (never negative: a steady clock)."""
        if self.frozen:
            return replace(self, frozen_for=self.frozen_for + seconds)
        return replace(self, served=self.served + seconds)

    def asking(self) -> Meter:
        """The meter once the reading of the wanted tick has gone out."""
        return replace(self, asked=self.wanted_tick)

    def forgetting(self) -> Meter:
        """The meter when the payer has to be asked again: its connection is a new one."""
        return replace(self, asked=self.tick_of(self.paid_seconds))

    def paying(self, seconds: int) -> Meter:
        """The meter once a voucher for `seconds` in all is stored."""
        return replace(self, paid_seconds=max(self.paid_seconds, seconds))

    def freezing(self) -> Meter:
        return replace(self, frozen=True, frozen_for=0.0)

    def thawing(self) -> Meter:
        return replace(self, frozen=False, frozen_for=0.0)

    def decide(self, connected: bool = True) -> tuple[Action, EndReason]:
        """What to do now; nobody is asked while the payer isn't `connected`. END comes with its reason."""
        paid = self.paid_seconds > self.served
        if self.served >= self.terms.max_seconds or (not paid and self.paid_seconds >= self.seconds_at(self.last_tick)):
            return Action.END, EndReason.COLLATERAL_SPENT
        unasked = self.asked < self.wanted_tick and self.paid_seconds < self.seconds_at(self.wanted_tick)
        if connected and unasked:
            return Action.ASK, EndReason.NONE
        if self.frozen:
            if paid:
                return Action.THAW, EndReason.NONE
            if self.frozen_for >= self.terms.patience:
                return Action.END, EndReason.UNPAID
            return Action.NOTHING, EndReason.NONE
        if self.served >= self.paid_seconds + self.terms.grace:
            return Action.FREEZE, EndReason.NONE
        return Action.NOTHING, EndReason.NONE

    def next_moment(self) -> float:
        """Seconds from now at which `decide` may say something new, if nothing else happens."""
        if self.frozen:
            return max(0.0, self.terms.patience - self.frozen_for)
        boundary = self.seconds_at(int(self.served // self.terms.tick_seconds) + 1)
        moments = [boundary, self.terms.max_seconds]
        limit = self.paid_seconds + self.terms.grace
        if limit > self.served:
            moments.append(limit)
        return max(0.0, min(moments) - self.served)
