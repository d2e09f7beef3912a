"""Hashes: Keccak-256, as Ethereum has it."""

from __future__ import annotations

from Crypto.Hash import keccak as _keccak


def keccak(data: bytes) -> bytes:
    """The 32 bytes of a text's Keccak-256 (the padding before SHA-3)."""
    return _keccak.new(digest_bits=256, data=data).digest()
