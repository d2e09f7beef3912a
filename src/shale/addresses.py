"""Addresses: the forms in which Filecoin and Ethereum write one account, read into ours and shown again.

0x… is the EVM's form. f410f… is the same 20 bytes in Filecoin's (class 4, namespace 10: the Ethereum address manager,
FIP-0048 and FIP-0055). f01234 names any actor by its number; the EVM sees it as 0xff, zeros and the number in 8 bytes.
"""

from __future__ import annotations

import re
from base64 import b32decode, b32encode
from hashlib import blake2b

from shale.errors import InputRefused
from shale.units import Address, checked_address

_NAMESPACE = b"\x04\x0a"
_MASK = b"\xff" + bytes(11)
_HINT = "give 0x and 40 hex digits, f410f…, or f0 and a number"


def parse_address(text: str) -> Address:
    """Any form that names an account of the EVM or an actor's number; `t` serves for `f`, as test networks write it.

    Raises InputRefused for anything else, with a hint for f1, f2 and f3, which the EVM can't name.
    """
    text = text.strip()
    if text[:2] in ("0x", "0X"):
        return checked_address("0x" + text[2:])
    if re.fullmatch(r"[ft]0(0|[1-9][0-9]{0,19})", text):
        number = int(text[2:])
        if number < 1 << 64:
            return masked(number)
    if re.fullmatch(r"[ft]410f[a-z2-7]{39}", text):
        return _delegated(text)
    if re.fullmatch(r"[ft][123][a-z2-7]{38,84}", text):
        raise InputRefused(
            f"{text[:60]} is no address of the EVM",
            "give its f0 number (lotus state lookup, or any explorer), or a 0x or f410 address",
        )
    raise InputRefused(f"{text[:60]!r} is not an address", _HINT)


def masked(number: int) -> Address:
    """How the EVM sees the actor of this number."""
    return checked_address("0x" + (_MASK + number.to_bytes(8, "big")).hex())


def actor_number(address: Address) -> int | None:
    """The number that a masked address stands for; None for any other."""
    raw = bytes.fromhex(address[2:])
    return int.from_bytes(raw[12:], "big") if raw.startswith(_MASK) else None


def filecoin_form(address: Address) -> str:
    """The address as Filecoin writes it: f0 and a number for a masked one, else f410f…"""
    number = actor_number(address)
    return f410(address) if number is None else f"f0{number}"


def f410(address: Address) -> str:
    """f410f and base32 of the 20 bytes and their checksum."""
    raw = bytes.fromhex(address[2:])
    return "f410f" + b32encode(raw + _checksum(raw)).decode().lower().rstrip("=")


def _delegated(text: str) -> Address:
    raw = b32decode(text[5:].upper() + "=")
    # 39 digits hold three bits more than 24 bytes: they must be zero, or one address had several texts.
    if raw[20:] != _checksum(raw[:20]) or b32encode(raw).decode().lower().rstrip("=") != text[5:]:
        raise InputRefused(f"{text} has a wrong checksum", "a letter of it is mistyped: copy it again")
    if raw.startswith(_MASK):
        raise InputRefused(f"{text} stands for an actor's number", f"give f0{int.from_bytes(raw[12:20], 'big')}")
    return checked_address("0x" + raw[:20].hex())


def _checksum(raw: bytes) -> bytes:
    return blake2b(_NAMESPACE + raw, digest_size=4).digest()
