"""Order, acceptance, confirmation, end and reading: the five things that a lease's parties sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shale.errors import InputRefused
from shale.market.lease import EndReason
from shale.market.offer import key_line
from shale.market.resources import Resources
from shale.units import MAX_SECONDS, Address, AttoFil, Cid, OrderHash, Price, checked_address


@dataclass(frozen=True, slots=True)
class PayKey:
    """The public half of a lease's payment key: a point on the bn254 twisted Edwards curve, 0x-hex words."""

    x: str
    y: str


@dataclass(frozen=True, slots=True)
class Order:
    """What a client asks for. `dataset` is empty when none is wanted; keys are one-line SSH public keys."""

    client: Address
    provider: Address
    offer: str
    resources: Resources
    image: str
    dataset: str
    price: Price
    max_seconds: int
    tick_seconds: int
    ssh_key: str
    gateway_key: str
    pay_key: PayKey
    nonce: int
    deadline: int

    @property
    def collateral(self) -> AttoFil:
        """What the client locks: the price of the whole time."""
        return self.price.over(self.max_seconds)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The provider's yes to an order; `host_key` is the SSH host key of the container to come."""

    order: OrderHash
    host_key: str
    deadline: int


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The client's last word: lock the collateral for this order and this acceptance (its struct hash)."""

    order: OrderHash
    acceptance: str
    collateral: AttoFil
    deadline: int


@dataclass(frozen=True, slots=True)
class End:
    """One party's final state of a lease: the highest acknowledged amount and seconds, and why it ends."""

    order: OrderHash
    amount: AttoFil
    seconds: int
    reason: EndReason
    at: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The provider's meter at a tick: pay `due` in all for `seconds` in all."""

    order: OrderHash
    tick: int
    seconds: int
    due: AttoFil
    at: int


def order_to_json(order: Order) -> dict[str, Any]:
    return {
        "client": order.client,
        "provider": order.provider,
        "offer": order.offer,
        "resources": order.resources.to_json(),
        "image": order.image,
        "dataset": order.dataset,
        "price": str(order.price.per_second.value),
        "max_seconds": order.max_seconds,
        "tick_seconds": order.tick_seconds,
        "ssh_key": order.ssh_key,
        "gateway_key": order.gateway_key,
        "pay_key": {"x": order.pay_key.x, "y": order.pay_key.y},
        "nonce": order.nonce,
        "deadline": order.deadline,
    }


def order_from_json(raw: dict[str, Any]) -> Order:
    """Read an order from outside: every field typed and bounded. Raises InputRefused."""
    try:
        return Order(
            client=checked_address(text_of(raw["client"], 42)),
            provider=checked_address(text_of(raw["provider"], 42)),
            offer=hash_of(raw["offer"]),
            resources=Resources.from_json(raw["resources"]),
            image=text_of(raw["image"], 256),
            dataset=Cid(text_of(raw["dataset"], 128)),
            price=Price(amount_of(raw["price"])),
            max_seconds=whole(raw["max_seconds"], 2**40),
            tick_seconds=whole(raw["tick_seconds"], 3600),
            ssh_key=key_line(raw["ssh_key"]),
            gateway_key=key_line(raw["gateway_key"]),
            pay_key=PayKey(hash_of(raw["pay_key"]["x"]), hash_of(raw["pay_key"]["y"])),
            nonce=whole(raw["nonce"]),
            deadline=whole(raw["deadline"]),
        )
    except (KeyError, TypeError) as error:
        raise InputRefused(f"the order is malformed ({error})", "update the client") from None


def text_of(raw: object, most: int) -> str:
    """A printable text of at most `most` characters, or InputRefused."""
    if not isinstance(raw, str) or len(raw) > most or not (raw.isprintable() or raw == ""):
        raise InputRefused("a text is missing, too long or not printable", f"give at most {most} characters")
    return raw


def whole(raw: object, most: int = MAX_SECONDS) -> int:
    """A whole number from 0 to `most`, or InputRefused."""
    if type(raw) is not int or not 0 <= raw <= most:
        raise InputRefused("a number is missing or out of range", f"give 0 to {most}")
    return raw


def amount_of(raw: object) -> AttoFil:
    """An amount written as a decimal string, or InputRefused."""
    if not isinstance(raw, str) or not (raw.isascii() and raw.isdigit() and len(raw) <= 30):
        raise InputRefused("an amount is missing or malformed", "give attoFIL as a decimal string")
    return AttoFil(int(raw))


def hash_of(raw: object) -> str:
    """0x and 64 lower-case hex digits, or InputRefused."""
    if isinstance(raw, str) and len(raw) == 66 and raw.startswith("0x"):
        digits = raw[2:]
        if all(char in "0123456789abcdef" for char in digits):
            return raw
    raise InputRefused("a hash is missing or malformed", "give 0x and 64 lower-case hex digits")
