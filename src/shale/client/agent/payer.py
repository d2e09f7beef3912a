"""Payer: decides what to pay. Pure: a provider's message and the time in, the next voucher or a refusal out.

What it never does: pay more than the price for the time that has passed by the client's own clock and one tick ahead,
more than the collateral, or less than was signed before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from shale.errors import InputRefused, Refused
from shale.market.order import End, Order, Reading
from shale.tunnel.messages import Ack, EndSent, ReadingSent, Welcome
from shale.units import ZERO, AttoFil, LeaseId, OrderHash, lease_id_of

TOLERANCE_SECONDS = 2.0
"""How much faster than our clock a provider's meter may seem to run: latencies, and the time before the agent came."""


@dataclass(frozen=True, slots=True)
class Due:
    """Sign this, after `wait` more seconds of our clock: the meter is ahead of it otherwise."""

    amount: AttoFil
    seconds: int
    tick: int
    wait: float


@dataclass(frozen=True, slots=True)
class Payer:
    """`paid` and `seconds` are of the highest voucher ever signed, `acked` is what the provider has stored of it."""

    order: Order
    order_hash: OrderHash
    host_key: str
    paid: AttoFil = ZERO
    seconds: int = 0
    acked: AttoFil = ZERO

    @property
    def lease(self) -> LeaseId:
        return lease_id_of(self.order_hash)

    def welcomed(self, welcome: Welcome, nonce: str) -> tuple[Payer, Reading]:
        """Check the provider's answer to our hello. Returns the payer, and what the provider must have signed.

        Raises Refused when it is another lease's, or claims more than we ever signed.
        """
        if welcome.lease != self.lease or welcome.client_nonce != nonce:
            raise Refused("the provider answered for another lease or another hello")
        if welcome.host_key != self.host_key:
            raise Refused("the container's host key is not the accepted one", "do not enter; end the lease")
        if welcome.paid > self.paid or welcome.seconds > self.seconds:
            raise Refused(f"the provider claims {welcome.paid}, but only {self.paid} was ever signed")
        state = Reading(self.order_hash, 0, welcome.seconds, welcome.paid, welcome.at)
        return replace(self, acked=welcome.paid), state

    def reading_of(self, sent: ReadingSent) -> Reading:
        """What the provider must have signed for this message."""
        return Reading(self.order_hash, sent.tick, sent.seconds, sent.due, sent.at)

    def due(self, reading: Reading, elapsed: float) -> Due:
        """What to sign for a reading whose signature was checked, `elapsed` seconds after the lease began.

        A reading at or below what was signed before gives that highest state again: signing it costs nothing.
        Raises Refused when the reading breaks the order's terms.
        """
        if reading.tick < 1 or reading.seconds != reading.tick * self.order.tick_seconds:
            raise Refused("the meter's reading is not at a tick's end")
        if reading.due != self.order.price.over(reading.seconds):
            raise Refused(f"the meter asks {reading.due}, the price makes {self.order.price.over(reading.seconds)}")
        if reading.due > self.order.collateral:
            raise Refused("the meter asks for more than the collateral")
        if reading.seconds <= self.seconds:
            return Due(self.paid, self.seconds, reading.tick, 0.0)
        ahead = reading.seconds - self.order.tick_seconds - elapsed - TOLERANCE_SECONDS
        return Due(reading.due, reading.seconds, reading.tick, max(0.0, ahead))

    def signing(self, due: Due) -> Payer:
        """The payer once this is durably noted as signed."""
        if due.amount < self.paid or due.seconds < self.seconds:
            raise Refused(f"{self.paid} was signed before", "never sign a lower voucher")
        return replace(self, paid=due.amount, seconds=due.seconds)

    def acknowledged(self, ack: Ack) -> Payer:
        """Raises Refused when the provider acknowledges what was never signed."""
        if ack.amount > self.paid:
            raise Refused(f"the provider acknowledges {ack.amount}, but only {self.paid} was ever signed")
        return replace(self, acked=max(self.acked, ack.amount))

    def ended(self, sent: EndSent) -> End:
        """The final state that the provider must have signed. Raises InputRefused when it claims too much."""
        if sent.amount > self.paid:
            raise InputRefused(f"the provider's final state claims {sent.amount}, only {self.paid} was ever signed")
        return End(self.order_hash, sent.amount, sent.seconds, sent.reason, sent.at)
