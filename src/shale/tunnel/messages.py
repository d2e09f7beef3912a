"""Messages of the tunnel as values, and their lines of JSON (docs/protocol.md, section 7). No I/O.

Both sides are hostile to each other: a line is at most 16 KiB, every field is typed and bounded, and anything else is
InputRefused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shale.errors import InputRefused
from shale.market.lease import EndReason
from shale.market.order import amount_of, text_of, whole
from shale.units import AttoFil, LeaseId, checked_lease_id
from shale.wire import read_json

MAX_LINE = 16 * 1024
VERSION = 1


@dataclass(frozen=True, slots=True)
class Hello:
    lease: LeaseId
    nonce: str
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Welcome:
    """The provider's answer to Hello. `paid` and `seconds` are of the highest voucher that it has stored.

    `signature` is the operator's over the Reading (tick 0, seconds, paid, `at`).
    """

    lease: LeaseId
    nonce: str
    client_nonce: str
    host_key: str
    paid: AttoFil
    seconds: int
    at: int
    signature: str
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class ReadingSent:
    """A signed meter reading, with how busy the container is."""

    tick: int
    seconds: int
    due: AttoFil
    at: int
    signature: str
    cpu_millis: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class VoucherSent:
    tick: int
    amount: AttoFil
    seconds: int
    signature: str


@dataclass(frozen=True, slots=True)
class Ack:
    """The voucher is stored durably."""

    tick: int
    amount: AttoFil
    seconds: int


@dataclass(frozen=True, slots=True)
class RefuseVoucher:
    tick: int
    reason: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to know: kind is verdict, frozen, thawed, maintenance or dataset."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class EndSent:
    """The sender's signed final state."""

    amount: AttoFil
    seconds: int
    reason: EndReason
    at: int
    signature: str


Message = Hello | Welcome | ReadingSent | VoucherSent | Ack | RefuseVoucher | Notice | EndSent


def new_nonce(random: Callable[[int], bytes]) -> str:
    return random(32).hex()


def encode(message: Message) -> bytes:
    """One line, newline included."""
    match message:
        case Hello(lease, nonce, version):
            raw: dict[str, Any] = {"type": "hello", "version": version, "lease_id": lease, "nonce": nonce}
        case Welcome():
            raw = {
                "type": "welcome",
                "version": message.version,
                "lease_id": message.lease,
                "nonce": message.nonce,
                "client_nonce": message.client_nonce,
                "host_key": message.host_key,
                "paid": str(message.paid.value),
                "seconds": message.seconds,
                "at": message.at,
                "signature": message.signature,
            }
        case ReadingSent():
            raw = {
                "type": "reading",
                "tick": message.tick,
                "seconds": message.seconds,
                "due": str(message.due.value),
                "at": message.at,
                "usage": {"cpu_millis": message.cpu_millis, "memory_bytes": message.memory_bytes},
                "signature": message.signature,
            }
        case VoucherSent(tick, amount, seconds, signature):
            raw = {
                "type": "voucher",
                "tick": tick,
                "amount": str(amount.value),
                "seconds": seconds,
                "signature": signature,
            }
        case Ack(tick, amount, seconds):
            raw = {"type": "ack", "tick": tick, "amount": str(amount.value), "seconds": seconds}
        case RefuseVoucher(tick, reason):
            raw = {"type": "refuse", "tick": tick, "reason": reason}
        case Notice(kind, text):
            raw = {"type": "notice", "kind": kind, "text": text}
        case EndSent():
            raw = {
                "type": "end",
                "amount": str(message.amount.value),
                "seconds": message.seconds,
                "reason": int(message.reason),
                "at": message.at,
                "signature": message.signature,
            }
    return json.dumps(raw, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Read one line. Raises InputRefused on everything that is not exactly a message."""
    if len(line) > MAX_LINE:
        raise InputRefused("a tunnel message is too long", f"keep it within {MAX_LINE} bytes")
    try:
        raw = read_json(line)
        reader = _READERS[raw["type"]]
        return reader(raw)
    except (KeyError, TypeError, ValueError) as error:
        raise InputRefused(f"a tunnel message is malformed ({type(error).__name__})", "update both sides") from None


def _signature(raw: object, least: int = 64, most: int = 69) -> str:
    """A signature of so many bytes."""
    text = text_of(raw, 2 + 2 * most)
    if not re.fullmatch(rf"0x[0-9a-f]{{{2 * least},{2 * most}}}", text):
        raise InputRefused("a signature is malformed", "give it as 0x-hex")
    return text


def _nonce(raw: object) -> str:
    text = text_of(raw, 64)
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise InputRefused("a nonce is malformed", "give 32 bytes as hex")
    return text


def _version(raw: object) -> int:
    version = whole(raw, 2**31)
    if version != VERSION:
        raise InputRefused(f"the other side speaks version {version} of the tunnel", f"use version {VERSION}")
    return version


_READERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "hello": lambda raw: Hello(checked_lease_id(raw["lease_id"]), _nonce(raw["nonce"]), _version(raw["version"])),
    "welcome": lambda raw: Welcome(
        lease=checked_lease_id(raw["lease_id"]),
        nonce=_nonce(raw["nonce"]),
        client_nonce=_nonce(raw["client_nonce"]),
        host_key=text_of(raw["host_key"], 1024),
        paid=amount_of(raw["paid"]),
        seconds=whole(raw["seconds"]),
        at=whole(raw["at"]),
        signature=_signature(raw["signature"]),
        version=_version(raw["version"]),
    ),
    "reading": lambda raw: ReadingSent(
        tick=whole(raw["tick"]),
        seconds=whole(raw["seconds"]),
        due=amount_of(raw["due"]),
        at=whole(raw["at"]),
        signature=_signature(raw["signature"]),
        cpu_millis=whole(raw["usage"]["cpu_millis"]),
        memory_bytes=whole(raw["usage"]["memory_bytes"]),
    ),
    "voucher": lambda raw: VoucherSent(
        whole(raw["tick"]), amount_of(raw["amount"]), whole(raw["seconds"]), _signature(raw["signature"])
    ),
    "ack": lambda raw: Ack(whole(raw["tick"]), amount_of(raw["amount"]), whole(raw["seconds"])),
    "refuse": lambda raw: RefuseVoucher(whole(raw["tick"]), text_of(raw["reason"], 500)),
    "notice": lambda raw: Notice(text_of(raw["kind"], 32), text_of(raw["text"], 500)),
    "end": lambda raw: EndSent(
        amount_of(raw["amount"]),
        whole(raw["seconds"]),
        EndReason(whole(raw["reason"], 9)),
        whole(raw["at"]),
        # A contract's own (ERC-1271) may be of any length; who checks it bounds it.
        _signature(raw["signature"], 1, 1024),
    ),
}
