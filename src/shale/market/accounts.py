"""Accounts: secp256k1 keys that sign as Ethereum's do, over libsecp256k1 (RFC 6979 nonces, low s)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Protocol

from coincurve import PrivateKey, PublicKey

from shale.errors import InputRefused
from shale.hashes import keccak
from shale.units import Address, checked_address

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Signer(Protocol):
    """What signing needs of an account."""

    @property
    def key(self) -> bytes: ...

    @property
    def address(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Account:
    """A private key (32 bytes) and its address."""

    key: bytes = field(repr=False)
    address: Address

    @classmethod
    def of_key(cls, key: bytes) -> Account:
        """Raises InputRefused unless it is a key; the error never shows it."""
        if len(key) != 32 or not 0 < int.from_bytes(key, "big") < _ORDER:
            raise InputRefused("that is not a private key", "give 64 hex digits")
        return cls(key, _address(PrivateKey(key).public_key))

    @classmethod
    def create(cls) -> Account:
        """A new key from the system's randomness."""
        while True:
            key = secrets.token_bytes(32)
            if 0 < int.from_bytes(key, "big") < _ORDER:
                return cls.of_key(key)


def sign_digest(account: Signer, digest: bytes) -> bytes:
    """r, s and v (27 or 28) of a signature over these 32 bytes."""
    raw = PrivateKey(bytes(account.key)).sign_recoverable(digest, hasher=None)
    return raw[:64] + bytes([27 + raw[64]])


def recover(digest: bytes, signature: bytes) -> Address:
    """Whose signature that is. Raises ValueError when it can be nobody's, or isn't canonical.

    A high s is the same signature again in other bytes; the contracts refuse it, so must we.
    """
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise ValueError("not canonical")
    if int.from_bytes(signature[32:64], "big") > _ORDER // 2:
        raise ValueError("not canonical")
    try:
        public = PublicKey.from_signature_and_message(signature[:64] + bytes([signature[64] - 27]), digest, hasher=None)
    except Exception as error:  # noqa: BLE001 - the library raises many kinds for hostile bytes
        raise ValueError(f"no point ({type(error).__name__})") from None
    return _address(public)


def _address(public: PublicKey) -> Address:
    return checked_address("0x" + keccak(public.format(compressed=False)[1:])[12:].hex())
