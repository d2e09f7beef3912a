"""Rental: one lease as its client holds it: what was signed, how to get in, what was paid so far."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shale.errors import InputRefused, Refused
from shale.market.lease import EndReason, LeaseState
from shale.market.order import Acceptance, End, Order
from shale.market.signing import SigningDomain
from shale.units import ZERO, AttoFil, LeaseId, OrderHash, Price, lease_id_of

MAX_NAME = 40


@dataclass(frozen=True, slots=True)
class Gateway:
    """The provider's SSH gateway, as its signed offer names it; `host_key` is pinned."""

    host: str
    port: int
    user: str
    host_key: str


@dataclass(frozen=True, slots=True)
class Shell:
    """The container's own SSH server as the gateway reaches it; its host key stands in the acceptance."""

    host: str
    port: int
    user: str


@dataclass(frozen=True, slots=True)
class Rental:
    """A lease in the client's books.

    `paid` and `seconds` are of the highest voucher ever signed, sent or not; `first_paid_at` is 0 before the
    first. `shell` is None until the provider has said that it is ready. `ssh_key` is the path of the user's
    private key, empty when ssh must find it by itself. `settled_*` are proven ones, None until then.
    """

    name: str
    network: str
    order: Order
    order_hash: OrderHash
    order_signature: str
    acceptance: Acceptance
    acceptance_signature: str
    provider_name: str
    endpoint: str
    gateway: Gateway
    shell: Shell | None
    mount: str
    ssh_key: str
    state: LeaseState
    paid: AttoFil
    seconds: int
    end_reason: EndReason
    created_at: int
    first_paid_at: int
    ended_at: int
    settled_paid: AttoFil | None
    settled_seconds: int | None
    reviewed: bool
    fault: str = ""
    """What the provider said last of a fault in the lease's dataset; printable."""
    extra_seconds: int = 0
    """By how much the lease was topped up."""

    @property
    def id(self) -> LeaseId:
        return lease_id_of(self.order_hash)

    @property
    def price(self) -> Price:
        return self.order.price

    @property
    def max_seconds(self) -> int:
        """The time that the deposit is good for: what was ordered, and what was topped up."""
        return self.order.max_seconds + self.extra_seconds

    @property
    def collateral(self) -> AttoFil:
        """The deposit that is locked for the lease."""
        return self.price.over(self.max_seconds)

    @property
    def left(self) -> AttoFil:
        """The collateral that no voucher has spent."""
        return self.collateral - self.paid

    @property
    def ended(self) -> bool:
        return not self.state.holds_stock

    @property
    def host(self) -> str:
        """What a person types after `ssh`."""
        return f"shale-{self.name}"


def new_rental(
    *,
    name: str,
    network: str,
    order: Order,
    order_signature: str,
    acceptance: Acceptance,
    acceptance_signature: str,
    provider_name: str,
    endpoint: str,
    gateway: Gateway,
    mount: str,
    ssh_key: str,
    at: int,
) -> Rental:
    """A lease that was just accepted: nothing is paid, and nobody is in."""
    return Rental(
        name=name,
        network=network,
        order=order,
        order_hash=acceptance.order,
        order_signature=order_signature,
        acceptance=acceptance,
        acceptance_signature=acceptance_signature,
        provider_name=provider_name,
        endpoint=endpoint,
        gateway=gateway,
        shell=None,
        mount=mount,
        ssh_key=ssh_key,
        state=LeaseState.ACCEPTED,
        paid=ZERO,
        seconds=0,
        end_reason=EndReason.NONE,
        created_at=at,
        first_paid_at=0,
        ended_at=0,
        settled_paid=None,
        settled_seconds=None,
        reviewed=False,
    )


def check_end(rental: Rental, end: End, signature: str, signing: SigningDomain) -> None:
    """Raises Refused or InputRefused unless this is the provider's own End of this lease, for what was signed at most.

    Only such an End is believed, whatever way it comes: the HTTP that it may come by is anybody's to change.
    """
    signing.check(end, signature, rental.order.provider)
    if end.order != rental.order_hash or end.amount > rental.paid or end.seconds > rental.seconds:
        raise Refused("the provider's End is of another lease, or claims more than was signed")
    if end.reason is EndReason.NONE:
        raise InputRefused("the provider's End has no reason")


def checked_name(text: str) -> str:
    """A lease's name: it becomes a host alias, a folder and part of a command line. Raises InputRefused."""
    if not re.fullmatch(rf"[a-z0-9](?:[a-z0-9-]{{0,{MAX_NAME - 2}}}[a-z0-9])?", text):
        raise InputRefused(f"{text!r} can't be a lease's name", f"use a-z, 0-9 and '-', at most {MAX_NAME} characters")
    if text.startswith("gateway-"):
        raise InputRefused(f"{text!r} can't be a lease's name", "names that begin with gateway- are taken")
    return text
