"""Naming: which piece a piece CID names, of version 1 or 2, and what of it a commitment can tell."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from shale.units import Cid

_NODE = 32
_MAX_HEIGHT = 31  # 64 GiB padded
_V1 = bytes.fromhex("0181e203922020")
"""CID version 1, fil-commitment-unsealed, sha2-256-trunc254-padded, 32 bytes."""
_V2 = bytes.fromhex("01559120")
"""CID version 1, raw, fr32-sha256-trunc254-padbintree (FRC-0069)."""


@dataclass(frozen=True, slots=True)
class PieceName:
    """What a piece CID says: the root of its tree, and of version 2 the tree's height."""

    root: bytes
    height: int | None = None

    @property
    def v1(self) -> Cid:
        return _text(_V1 + self.root)

    def padded_size(self, piece: Cid, padded_size: int) -> int | None:
        """The padded size at which this names the piece that is `piece` at `padded_size`; None if it doesn't.

        A piece may have been padded with zeros up to a larger power of two, which its bytes don't tell.
        """
        found = piece_name(piece)
        if found is None:
            return None
        root = found.root
        for height, zeros in enumerate(_zeros()):
            size = _NODE << height
            if size >= padded_size:
                if root == self.root and self.height in (None, height):
                    return size
                root = _join(root, zeros)
        return None


def piece_name(text: str) -> PieceName | None:
    """What a piece CID in base32 says; None for any other text."""
    if not re.fullmatch(r"[bB][A-Za-z2-7]{40,128}", text):
        return None
    digits = text[1:].upper()
    try:
        raw = base64.b32decode(digits + "=" * (-len(digits) % 8))
    except ValueError:
        return None
    if raw.startswith(_V1) and len(raw) == len(_V1) + _NODE:
        return PieceName(raw[-_NODE:])
    # Behind the length: the padding as a varint, the height, the root.
    if raw.startswith(_V2) and len(raw) > len(_V2) + 2 + _NODE and raw[len(_V2)] == len(raw) - len(_V2) - 1:
        height = raw[-_NODE - 1]
        return PieceName(raw[-_NODE:], height) if 2 <= height <= _MAX_HEIGHT else None
    return None


def named_by_url(url: str) -> Cid | None:
    """The piece CID that a URL ``…/piece/CID`` names, as it stands there."""
    try:
        parts = unquote(urlsplit(url).path).rstrip("/").split("/")
    except ValueError:
        return None  # no URL: whoever opens it says so
    return named_by_file(parts[-1]) if len(parts) > 1 and parts[-2] == "piece" else None


def named_by_file(name: str) -> Cid | None:
    """The piece CID that a file is named by: ``CID`` or ``CID.car``."""
    text = name.removesuffix(".car")
    return Cid(text) if piece_name(text) is not None else None


def _join(left: bytes, right: bytes) -> bytes:
    """The parent of two nodes: sha256 without its last two bits."""
    parent = hashlib.sha256(left + right).digest()
    return parent[:-1] + bytes([parent[-1] & 0x3F])


@lru_cache
def _zeros() -> tuple[bytes, ...]:
    """The root of a tree of zeros, by its height."""
    roots = [bytes(_NODE)]
    while len(roots) <= _MAX_HEIGHT:
        roots.append(_join(roots[-1], roots[-1]))
    return tuple(roots)


def _text(raw: bytes) -> Cid:
    return Cid("b" + base64.b32encode(raw).decode().lower().rstrip("="))
