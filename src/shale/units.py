"""Quantities in their own types: attoFIL, prices, bytes, seconds and the ids of the market."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import NewType

from shale.errors import InputRefused

LeaseId = NewType("LeaseId", str)
"""0x and 62 hex digits: the order hash without its last byte, so that it is a word of the circuit."""
OrderHash = NewType("OrderHash", str)
"""0x and 64 hex digits: the EIP-712 digest of an order."""
Address = NewType("Address", str)
"""An EVM address, 0x and 40 hex digits, always in its checksummed form."""
Cid = NewType("Cid", str)
"""A content identifier in its text form."""

MAX_AMOUNT = 2**96 - 1
MAX_SECONDS = 2**64 - 1

_FIL_UNITS = {
    "attofil": 0,
    "femtofil": 3,
    "picofil": 6,
    "nanofil": 9,
    "microfil": 12,
    "millifil": 15,
    "fil": 18,
}
_PERIODS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
_BYTE_UNITS = {
    "": 1, "b": 1, "k": 10**3, "kb": 10**3, "ki": 2**10, "kib": 2**10, "m": 10**6, "mb": 10**6, "mi": 2**20,
    "mib": 2**20, "g": 10**9, "gb": 10**9, "gi": 2**30, "gib": 2**30, "t": 10**12, "tb": 10**12, "ti": 2**40,
    "tib": 2**40,
}  # fmt: skip
_DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, order=True, slots=True)
class AttoFil:
    """An amount of money: a whole number of attoFIL (10^-18 FIL), never negative, at most 2^96 - 1."""

    value: int

    def __post_init__(self) -> None:
        if type(self.value) is not int:
            raise TypeError(f"an amount is an int of attoFIL, not {type(self.value).__name__}")
        if not 0 <= self.value <= MAX_AMOUNT:
            raise InputRefused(f"amount {self.value} attoFIL is out of range", "amounts are 0 to 2^96 - 1 attoFIL")

    def __add__(self, other: AttoFil) -> AttoFil:
        return AttoFil(self.value + other.value)

    def __sub__(self, other: AttoFil) -> AttoFil:
        return AttoFil(self.value - other.value)

    def __mul__(self, times: int) -> AttoFil:
        return AttoFil(self.value * times)

    def __bool__(self) -> bool:
        return self.value != 0

    def __str__(self) -> str:
        return format_fil(self)

    @classmethod
    def parse(cls, text: str) -> AttoFil:
        """Read ``0.01 FIL``, ``3 nanoFIL`` or ``12 attoFIL`` exactly; a bare number is FIL.

        Raises InputRefused for anything else, and for fractions of an attoFIL.
        """
        match = re.fullmatch(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
        unit = (match[2] or "fil").lower() if match else ""
        if match is None or unit not in _FIL_UNITS:
            raise InputRefused(f"{text[:40]!r} is not an amount", "write it as 0.01 FIL or 3 nanoFIL")
        return cls(_scale(match[1].replace("_", ""), _FIL_UNITS[unit], text))


ZERO = AttoFil(0)


@dataclass(frozen=True, order=True, slots=True)
class Price:
    """A price: attoFIL for each second."""

    per_second: AttoFil

    def over(self, seconds: int) -> AttoFil:
        """What `seconds` whole seconds cost: always the product, never a sum of rounded parts."""
        return self.per_second * seconds

    def __str__(self) -> str:
        return f"{format_fil(self.per_second * 60)}/min"

    @classmethod
    def parse(cls, text: str) -> Price:
        """Read ``0.01 FIL/h``, ``3 nanoFIL/s``; without a period it is per hour. Rounded down to attoFIL a second."""
        amount, _, period = text.partition("/")
        key = period.strip().lower() or "h"
        if key not in _PERIODS:
            raise InputRefused(f"{text[:40]!r} is not a price", "write it as 0.01 FIL/h or 3 nanoFIL/s")
        whole = AttoFil.parse(amount).value
        if 0 < whole < _PERIODS[key]:
            raise InputRefused(f"{text[:40]!r} is less than an attoFIL a second", "ask for more, or for 0 FIL")
        return cls(AttoFil(whole // _PERIODS[key]))


def _scale(digits: str, exponent: int, text: str) -> int:
    # In integers throughout: a Decimal rounds at 28 digits, and amounts have 29.
    whole, _, fraction = digits.partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > exponent or len(whole) > 40:
        raise InputRefused(
            f"{text[:40]!r} has a fraction of an attoFIL or is too large", "use at most 18 decimals of a FIL"
        )
    return int(whole + fraction.ljust(exponent, "0"))


def format_fil(amount: AttoFil) -> str:
    """The exact amount in the unit that keeps it short: ``1.5 FIL``, ``250 nanoFIL``, ``7 attoFIL``."""
    if not amount:
        return "0 FIL"
    for unit, exponent in (("FIL", 18), ("milliFIL", 15), ("microFIL", 12), ("nanoFIL", 9), ("attoFIL", 0)):
        if amount.value >= 10**exponent:
            whole, rest = divmod(amount.value, 10**exponent)
            fraction = f".{rest:0{exponent}d}".rstrip("0") if rest else ""
            return f"{whole}{fraction} {unit}"
    raise AssertionError("unreachable: amounts are whole attoFIL")


def parse_bytes(text: str) -> int:
    """Read ``2Gi``, ``512M``, ``1048576`` as a number of bytes."""
    match = re.fullmatch(r"\s*([0-9]{1,15})\s*([A-Za-z]*)\s*", text)
    if match is None or match[2].lower() not in _BYTE_UNITS:
        raise InputRefused(f"{text[:40]!r} is not a size", "write it as 2Gi or 512M")
    return int(match[1]) * _BYTE_UNITS[match[2].lower()]


def format_bytes(count: int) -> str:
    """A size as people read it: ``1.5 GiB``."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def parse_duration(text: str) -> int:
    """Read ``90``, ``30s``, ``15m``, ``1.5h``, ``2d`` as whole seconds."""
    match = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([smhd]?)\s*", text)
    if match is None:
        raise InputRefused(f"{text[:40]!r} is not a duration", "write it as 30s, 15m, 8h or 2d")
    return int(Decimal(match[1]) * _DURATION_UNITS[match[2] or "s"])


def format_duration(seconds: int) -> str:
    """A duration as people read it: ``1h 02m 03s``."""
    hours, rest = divmod(seconds, 3600)
    minutes, secs = divmod(rest, 60)
    if hours:
        return f"{hours}h {minutes:02d}m {secs:02d}s"
    return f"{minutes}m {secs:02d}s" if minutes else f"{secs}s"


def checked_address(text: str) -> Address:
    """The checksummed form of an EVM address. Raises InputRefused when it is none, or its checksum (EIP-55) is off."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise InputRefused(f"{text[:60]!r} is not an address", "give 0x and 40 hex digits")
    checked = _checksummed(text[2:].lower())
    if text not in (checked, checked.lower(), "0x" + checked[2:].upper()):
        raise InputRefused(f"{text} has a wrong checksum", "a letter of it is mistyped: copy it again")
    return Address(checked)


def _checksummed(digits: str) -> str:
    """EIP-55: a letter is a capital where the hash of all digits has a half-byte of 8 or more."""
    from shale.hashes import keccak

    marks = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(mark, 16) >= 8 else digit for digit, mark in zip(digits, marks, strict=False)
    )


def checked_piece_cid(text: object) -> Cid:
    """A piece CID, version 1 (fil-commitment-unsealed, sha2-256-trunc254-padded, base32). Raises InputRefused."""
    if isinstance(text, str) and re.fullmatch(r"baga6ea4seaq[a-z2-7]{52}", text):
        return Cid(text)
    raise InputRefused("that is not a piece CID", "give version 1: baga6ea4seaq and 52 characters")


def lease_id_of(order: OrderHash) -> LeaseId:
    """The lease id of an order: its hash shifted right by a byte."""
    return LeaseId(order[:-2])


def checked_lease_id(text: object) -> LeaseId:
    """A lease id from outside. Raises InputRefused when it isn't one."""
    if isinstance(text, str) and re.fullmatch(r"0x[0-9a-f]{62}", text):
        return LeaseId(text)
    raise InputRefused("that is not a lease id", "give 0x and 62 lower-case hex digits")
