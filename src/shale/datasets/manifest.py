"""Manifest: what a dataset is, as whoever prepared it signed it: its name, root, and the pieces that make it.

The chain holds no names and no file trees, so this stands beside it (docs/protocol.md, section 11). The signature is
that of an Ethereum account over a text (EIP-191): a heading and the canonical JSON of the manifest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from shale.errors import InputRefused
from shale.market.accounts import Signer, sign_digest
from shale.market.offer import MAX_DESCRIPTION, MAX_LICENCE, MAX_PIECES, canonical
from shale.market.order import text_of, whole
from shale.market.signing import check_digest, text_digest
from shale.units import Address, Cid, checked_address, checked_piece_cid
from shale.wire import read_json

MAX_MANIFEST = 512 << 10
MAX_NAME = 128
FORMAT = "car"
"""Each piece is a CAR, and the dataset a UnixFS tree over them."""
_HEADING = b"Shale dataset manifest\n"
_KEYS = {"version", "name", "description", "licence", "root", "format", "pieces"}
_MAX_SIZE = 1 << 40
_HINT = "make one with shale piece manifest"


@dataclass(frozen=True, slots=True)
class ManifestPiece:
    """A piece: its CID (version 1), the bytes of its CAR, and its padded size."""

    piece: Cid
    raw_size: int
    padded_size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A dataset over `pieces`, in this order."""

    name: str
    description: str
    licence: str
    root: Cid
    pieces: tuple[ManifestPiece, ...]


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """A manifest and the address of the account that signed it."""

    manifest: Manifest
    signer: Address
    signature: str


def sign(manifest: Manifest, account: Signer) -> SignedManifest:
    """Raises InputRefused for one that could not be read again."""
    checked = _manifest(_to_json(manifest))
    signature = "0x" + sign_digest(account, _digest(checked)).hex()
    return SignedManifest(checked, checked_address(account.address), signature)


def manifest_to_json(signed: SignedManifest) -> dict[str, Any]:
    return {"manifest": _to_json(signed.manifest), "signer": signed.signer, "signature": signed.signature}


def read_manifest(data: bytes) -> SignedManifest:
    """Read a manifest from outside. Raises InputRefused unless it is well formed and its signer signed just this."""
    if len(data) > MAX_MANIFEST:
        raise InputRefused(f"the manifest is over {MAX_MANIFEST >> 10} KiB", _HINT)
    try:
        raw = read_json(data)
    except ValueError:
        raise InputRefused("the manifest is not JSON", _HINT) from None
    return manifest_from_json(raw)


def manifest_from_json(raw: object) -> SignedManifest:
    """As `read_manifest`, of JSON that is read already and was bounded then."""
    if not isinstance(raw, dict) or set(raw) != {"manifest", "signer", "signature"}:
        raise InputRefused("a manifest has the keys manifest, signer and signature", _HINT)
    try:
        manifest = _manifest(raw["manifest"])
        signer = checked_address(text_of(raw["signer"], 42))
        signature = text_of(raw["signature"], 132)
    except InputRefused as error:
        raise InputRefused(f"the manifest is malformed: {error.message}", error.hint or _HINT) from None
    check_digest(_digest(manifest), signature, signer, "manifest")
    return SignedManifest(manifest, signer, signature)


def _digest(manifest: Manifest) -> bytes:
    return text_digest(_HEADING + canonical(_to_json(manifest)))


def _to_json(manifest: Manifest) -> dict[str, Any]:
    return {
        "version": 1,
        "name": manifest.name,
        "description": manifest.description,
        "licence": manifest.licence,
        "root": manifest.root,
        "format": FORMAT,
        "pieces": [
            {"piece": piece.piece, "raw_size": piece.raw_size, "padded_size": piece.padded_size}
            for piece in manifest.pieces
        ],
    }


def _manifest(raw: object) -> Manifest:
    if not isinstance(raw, dict) or set(raw) != _KEYS:
        raise InputRefused(f"its keys are not {', '.join(sorted(_KEYS))}")
    if raw["version"] != 1 or type(raw["version"]) is not int or raw["format"] != FORMAT:
        raise InputRefused(f"its version is not 1 or its format not {json.dumps(FORMAT)}", "update this program")
    pieces = raw["pieces"]
    if not isinstance(pieces, list) or not 1 <= len(pieces) <= MAX_PIECES:
        raise InputRefused(f"it has not 1 to {MAX_PIECES} pieces")
    read = tuple(_piece(piece) for piece in pieces)
    if len({piece.piece for piece in read}) < len(read):
        raise InputRefused("a piece stands twice in it")
    root = text_of(raw["root"], 128)
    if not (root.isascii() and root.isalnum()) or len(root) < 8:
        raise InputRefused("its root is no CID")
    return Manifest(
        name=_line(raw["name"], MAX_NAME, "name") or _refuse("its name is empty"),
        description=_line(raw["description"], MAX_DESCRIPTION, "description"),
        licence=_line(raw["licence"], MAX_LICENCE, "licence"),
        root=Cid(root),
        pieces=read,
    )


def _piece(raw: object) -> ManifestPiece:
    if not isinstance(raw, dict) or set(raw) != {"piece", "raw_size", "padded_size"}:
        raise InputRefused("a piece has the keys piece, raw_size and padded_size")
    padded = whole(raw["padded_size"], _MAX_SIZE)
    size = whole(raw["raw_size"], _MAX_SIZE)
    # fr32: 127 bytes are stored as 128 (docs/guide/datasets.md).
    if padded < 128 or padded & (padded - 1) or not 0 < size <= padded // 128 * 127:
        raise InputRefused("a piece's sizes don't fit each other")
    return ManifestPiece(checked_piece_cid(raw["piece"]), size, padded)


def _line(raw: object, most: int, what: str) -> str:
    if not isinstance(raw, str) or len(raw) > most or not raw.isprintable():
        raise InputRefused(f"its {what} is not one line of at most {most} printable characters")
    return raw


def _refuse(why: str) -> str:
    raise InputRefused(why)
