"""Probation: when a payment that a verdict withholds is tried again.

Without it nobody could recover: unpaid, the container is frozen, and a frozen container answers no probe. One payment
lets it show that it is well again; each try that fails doubles the time to the next, so a dead container earns little.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FIRST_SECONDS = 60.0
LONGEST_SECONDS = 480.0
"""Below the patience that providers have by default: a lease lives as long as there is hope."""


@dataclass(frozen=True, slots=True)
class Probation:
    """Times are of a steady clock; `next_at` is None while nothing is withheld."""

    next_at: float | None = None
    delay: float = FIRST_SECONDS

    def withheld(self, now: float) -> Probation:
        """A verdict withholds: the first try is a while from now; said again it changes nothing."""
        return self if self.next_at is not None else Probation(now + FIRST_SECONDS)

    def waiting(self, now: float) -> float:
        """Seconds until the next try, 0 when it is due."""
        return 0.0 if self.next_at is None else max(0.0, self.next_at - now)

    def tried(self, now: float) -> Probation:
        """One payment was made in spite of the verdict."""
        delay = min(2 * self.delay, LONGEST_SECONDS)
        return replace(self, next_at=now + delay, delay=delay)
