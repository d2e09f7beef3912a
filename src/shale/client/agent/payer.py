"""Payer: decides what to pay. Pure: a provider's message and the time in, the next voucher or a refusal out.

What it never does: pay for more than the provider can have served by the client's own clock and the tick that begins,
pay more than the collateral, or sign less than before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from shale.errors import InputRefused, Refused
from shale.market.lease import EndReason
from shale.market.order import End, Order, Reading
from shale.tunnel.messages import Ack, EndSent, ReadingSent, Welcome
from shale.units import ZERO, AttoFil, LeaseId, OrderHash, lease_id_of

TOLERANCE_SECONDS = 2.0
"""How much faster than our clock a provider's meter may seem to run: latencies, there and back."""
GRACE_SECONDS = 10.0
"""How much unpaid service we pay for afterwards at once, as a provider gives it while a tunnel is down."""


@dataclass(frozen=True, slots=True)
class Due:
    """What may be signed now, in all; `wait` is the time until more of the reading is due, 0 when this is all of it.

    When nothing more is due yet it is what was signed before.
    """

    amount: AttoFil
    seconds: int
    tick: int
    wait: float


@dataclass(frozen=True, slots=True)
class Payer:
    """`paid` and `seconds` are of the highest voucher ever signed, `acked` is what the provider has stored of it.

    `served` is the most that the provider can have served by our clock: it runs no further than what is paid and the
    grace, because a provider that isn't paid freezes the container. So time that passed while it stood still, or while
    nobody was there to pay, is never owed.
    """

    order: Order
    order_hash: OrderHash
    host_key: str
    paid: AttoFil = ZERO
    seconds: int = 0
    acked: AttoFil = ZERO
    served: float = 0.0
    extra_seconds: int = 0

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

    def passed(self, seconds: float) -> Payer:
        """The payer after `seconds` more of our clock."""
        most = max(self.served, self.seconds + GRACE_SECONDS)
        return replace(self, served=min(self.served + seconds, most))

    def reading_of(self, sent: ReadingSent) -> Reading:
        """What the provider must have signed for this message. Raises Refused when it breaks the order's terms."""
        if sent.tick < 1 or sent.seconds != sent.tick * self.order.tick_seconds:
            raise Refused("the meter's reading is not at a tick's end")
        if sent.seconds > self.order.max_seconds + self.extra_seconds:
            raise Refused("the meter asks for more time than was ordered or topped up")
        if sent.due != self.order.price.over(sent.seconds):
            raise Refused(f"the meter asks {sent.due}, the price makes {self.order.price.over(sent.seconds)}")
        return Reading(self.order_hash, sent.tick, sent.seconds, sent.due, sent.at)

    def due(self, reading: Reading) -> Due:
        """What to sign for a reading that was checked: all of it, or the whole ticks of it that may have begun.

        A reading at or below what was signed before gives that highest state again: signing it costs nothing.
        """
        tick = self.order.tick_seconds
        begun = (int((self.served + TOLERANCE_SECONDS) // tick) + 1) * tick
        seconds = max(self.seconds, min(reading.seconds, begun))
        if seconds >= reading.seconds:
            return Due(self.order.price.over(seconds), seconds, seconds // tick, 0.0)
        wait = seconds // tick * tick - TOLERANCE_SECONDS - self.served
        return Due(self.order.price.over(seconds), seconds, seconds // tick, max(0.001, wait))

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
        if sent.amount > self.paid or sent.seconds > self.seconds:
            raise InputRefused(f"the provider's final state claims {sent.amount}, only {self.paid} was ever signed")
        if sent.reason is EndReason.NONE:
            raise InputRefused("the provider's final state has no reason")
        return End(self.order_hash, sent.amount, sent.seconds, sent.reason, sent.at)
