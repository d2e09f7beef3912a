"""Plan: what is wanted, which of the found offers fits it, and what the cheapest of those will cost. Pure."""

from __future__ import annotations

import re
from base64 import b32decode
from binascii import Error as Base32Error
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from shale.client.discovery import Found, Unusable
from shale.errors import InputRefused, Refused, Unavailable
from shale.market.offer import Dataset, Offer
from shale.market.resources import Resources
from shale.units import Address, AttoFil, Cid, Price, format_duration

MAX_SECONDS = 10 * 365 * 86400
"""The contracts' own bound (docs/protocol.md, section 5)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks for. `dataset` and `mount` are empty without one; no `image` means the provider's first."""

    resources: Resources
    max_seconds: int
    dataset: str = ""
    mount: str = ""
    image: str = ""
    max_price: Price | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A provider that fits, and the terms of the order to come."""

    found: Found
    resources: Resources
    image: str
    dataset: Dataset | None
    mount: str
    price: Price
    max_seconds: int

    @property
    def offer(self) -> Offer:
        return self.found.signed.offer

    @property
    def provider(self) -> Address:
        return self.offer.provider

    @property
    def collateral(self) -> AttoFil:
        return self.price.over(self.max_seconds)


def choose(found: Sequence[Found], unusable: Sequence[Unusable], wish: Wish) -> Plan:
    """The cheapest plan; between equals the better rated. Raises Refused that says why nothing fits."""
    plans = [_plan(item, wish) for item in found if not objection(item.signed.offer, wish)]
    if plans:
        return min(plans, key=lambda plan: (plan.price, -_stars(plan.found), plan.provider))
    if not found:
        if unusable:
            first = unusable[0]
            raise Unavailable(
                f"no provider can be used now ({first.record.operator}: {first.why})", "see shale ls; try again"
            )
        raise Refused("no provider is registered on this network", "choose another with --network")
    if wish.dataset and not any(item.signed.offer.dataset(wish.dataset) for item in found):
        raise Refused(f"no provider holds the dataset {wish.dataset}", "see shale datasets")
    reasons = [(item.signed.offer.name, objection(item.signed.offer, wish)) for item in found]
    shown = "; ".join(f"{name}: {why}" for name, why in reasons[:3])
    more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    raise Refused(f"no provider fits ({shown}{more})", "ask for less, or see shale ls")


def objection(offer: Offer, wish: Wish) -> str:
    """Why this offer doesn't fit; empty if it does."""
    if wish.dataset and offer.dataset(wish.dataset) is None:
        return f"it doesn't hold {wish.dataset}"
    if not wish.image and not offer.images:
        return "it names no image"
    short = offer.free.shortage(wish.resources)
    if short:
        return f"not enough {short}"
    seconds = whole_ticks(wish.max_seconds, offer.tick_seconds)
    if seconds > offer.max_seconds:
        return f"it leases for {format_duration(offer.max_seconds)} at most"
    try:
        price = offer.tariff.quote(wish.resources)
        price.over(seconds)
    except InputRefused:
        return "its price is out of all bounds"
    if wish.max_price is not None and price > wish.max_price:
        return f"it asks {price}, over the limit of {wish.max_price}"
    return ""


def _plan(found: Found, wish: Wish) -> Plan:
    offer = found.signed.offer
    return Plan(
        found=found,
        resources=wish.resources,
        image=wish.image or offer.images[0],
        dataset=offer.dataset(wish.dataset) if wish.dataset else None,
        mount=wish.mount,
        price=offer.tariff.quote(wish.resources),
        max_seconds=whole_ticks(wish.max_seconds, offer.tick_seconds),
    )


def _stars(found: Found) -> int:
    return (found.standing and found.standing.stars_tenths) or 0


def whole_ticks(seconds: int, tick: int) -> int:
    """At least so many seconds, as a whole number of ticks."""
    return -(-seconds // tick) * tick


def parse_dataset(text: str) -> tuple[Cid, str]:
    """Read ``CID:/data`` into CID and mount point (``/data`` without one). Raises InputRefused."""
    cid, colon, mount = text.partition(":")
    return checked_cid(cid), checked_mount(mount if colon else "/data")


def checked_cid(text: str) -> Cid:
    """A CID as datasets are named: version 1 in base32, or version 0 (``Qm…``). Raises InputRefused."""
    if re.fullmatch(r"Qm[1-9A-HJ-NP-Za-km-z]{44}", text):
        return Cid(text)
    if re.fullmatch(r"b[a-z2-7]{7,127}", text):
        digits = text[1:].upper()
        with suppress(Base32Error):
            if _is_cid(b32decode(digits + "=" * (-len(digits) % 8))):
                return Cid(text)
    raise InputRefused(f"{text[:80]!r} is not a CID", "copy one from shale datasets (bafy…)")


def _is_cid(raw: bytes) -> bool:
    """Whether these bytes are a CID of version 1: version, codec, hash and its length as varints, then the digest."""
    fields: list[int] = []
    while len(fields) < 4:
        end = next((at for at, byte in enumerate(raw[:9]) if byte < 0x80), None)
        if end is None:
            return False
        fields.append(sum((byte & 0x7F) << (7 * at) for at, byte in enumerate(raw[: end + 1])))
        raw = raw[end + 1 :]
    return fields[0] == 1 and fields[3] == len(raw)


def checked_mount(text: str) -> str:
    """An absolute path in the container. Raises InputRefused."""
    parts = text.strip("/").split("/")
    if (
        not text.startswith("/")
        or len(text) > 200
        or not text.isprintable()
        or any(part in ("", ".", "..") for part in parts)
        or any(char in text for char in ":,")
    ):
        raise InputRefused(f"{text[:80]!r} can't be a mount point", "write --dataset CID:/data")
    return "/" + "/".join(parts)
