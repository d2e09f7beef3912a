"""Transactions: an EIP-1559 transaction as bytes, signed, and its hash."""

from __future__ import annotations

from dataclasses import dataclass

from shale.hashes import keccak
from shale.market.accounts import Signer, sign_digest
from shale.units import Address

Item = int | bytes | list["Item"]


@dataclass(frozen=True, slots=True)
class Fees:
    """What a transaction pays for each unit of gas, in attoFIL: `tip` to the miner, `most` in all."""

    tip: int
    most: int


@dataclass(frozen=True, slots=True)
class Draft:
    """What a transaction does. `to` None deploys the data."""

    to: Address | None
    data: bytes
    value: int
    gas: int


@dataclass(frozen=True, slots=True)
class Signed:
    """The bytes that a node takes, and the hash by which the world knows them."""

    raw: bytes
    tx: str


def signed(account: Signer, chain_id: int, nonce: int, draft: Draft, fees: Fees) -> Signed:
    fields: list[Item] = [
        chain_id,
        nonce,
        fees.tip,
        fees.most,
        draft.gas,
        bytes.fromhex(draft.to[2:]) if draft.to else b"",
        draft.value,
        draft.data,
        [],
    ]
    signature = sign_digest(account, keccak(b"\x02" + rlp(fields)))
    r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
    raw = b"\x02" + rlp([*fields, signature[64] - 27, r, s])
    return Signed(raw, "0x" + keccak(raw).hex())


def chain_of(raw: bytes) -> int:
    """The chain that a transaction was signed for, read off its bytes. Raises ValueError where it isn't to be had."""
    if len(raw) < 3 or raw[0] != 2 or raw[1] < 0xC0:
        raise ValueError("that is no transaction of ours")
    at = 2 + max(0, raw[1] - 0xF7)
    first = raw[at : at + 1]
    if not first or first[0] < 0x80:
        return int.from_bytes(first, "big")
    size = first[0] - 0x80
    if size > 8 or len(raw) < at + 1 + size:
        raise ValueError("that is no transaction of ours")
    return int.from_bytes(raw[at + 1 : at + 1 + size], "big")


def rlp(item: Item) -> bytes:
    """Recursive length prefixes, as the Ethereum specification has them; a number without leading zeros."""
    if isinstance(item, int):
        return rlp(item.to_bytes((item.bit_length() + 7) // 8, "big"))
    if isinstance(item, list):
        body = b"".join(rlp(part) for part in item)
        return _prefix(0xC0, len(body)) + body
    if len(item) == 1 and item[0] < 0x80:
        return item
    return _prefix(0x80, len(item)) + item


def _prefix(base: int, size: int) -> bytes:
    if size < 56:
        return bytes([base + size])
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(digits)]) + digits
