"""The root that a CAR names in its header: CARv1, or the CARv1 inside a CARv2 (ipld.io/specs/transport/car)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from shale.errors import Refused
from shale.units import Cid

_V2_PRAGMA = bytes.fromhex("0aa16776657273696f6e02")
_MAX_HEADER = 1 << 20
_MAX_CID = 128
_CID_TAG = b"\xd8\x2a"
"""CBOR's head of tag 42, which marks a CID in DAG-CBOR."""


def read_root(source: Path) -> Cid:
    """The one root of a CAR. Raises Refused when the file is no CAR, or names no root or several."""
    try:
        with source.open("rb") as file:
            roots = list(_roots(_header(file)))
    except OSError as error:
        raise Refused(f"{source} can't be read ({error.strerror})", "check the path and its permissions") from None
    except (ValueError, IndexError):
        raise Refused(f"{source} is not a CAR", "make one with shale piece pack DIR OUT.car") from None
    if len(roots) != 1:
        raise Refused(f"the header of {source} names {len(roots)} roots", "a dataset needs a CAR with one root")
    return roots[0]


def _header(file: BinaryIO) -> bytes:
    """The CBOR of the CARv1's header."""
    if file.read(len(_V2_PRAGMA)) == _V2_PRAGMA:
        file.seek(16, 1)  # the characteristics
        file.seek(int.from_bytes(file.read(8), "little"))
    else:
        file.seek(0)
    length = shift = 0
    while True:
        byte = file.read(1)[0]
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise ValueError("varint")
    if not 0 < length <= _MAX_HEADER:
        raise ValueError("header length")
    header = file.read(length)
    if len(header) < length:
        raise ValueError("truncated")
    return header


def _roots(header: bytes) -> Iterator[Cid]:
    """The CIDs of ``{"roots": [42(h'00…'), …], "version": 1}``, in DAG-CBOR: keys sorted by length, then bytes."""
    position = _expect(header, 0, b"\xa2\x65roots")
    count, position = _head(header, position, 4)
    for _ in range(count):
        size, position = _head(header, _expect(header, position, _CID_TAG), 2)
        raw = header[position : position + size]
        if not 2 < len(raw) == size <= _MAX_CID or raw[0] != 0:
            raise ValueError("CID")
        yield _text(raw[1:])
        position += size
    if _expect(header, position, b"\x67version\x01") != len(header):
        raise ValueError("data behind the header")


def _head(data: bytes, position: int, major: int) -> tuple[int, int]:
    """The argument of a CBOR head of this major type (RFC 8949, section 3), at most 16 bits, and what follows it."""
    kind, short = data[position] >> 5, data[position] & 0x1F
    if kind != major or short > 25:
        raise ValueError("CBOR")
    extra = {24: 1, 25: 2}.get(short, 0)
    end = position + 1 + extra
    if len(data) < end:
        raise ValueError("truncated")
    return (int.from_bytes(data[position + 1 : end], "big") if extra else short), end


def _expect(data: bytes, position: int, wanted: bytes) -> int:
    end = position + len(wanted)
    if data[position:end] != wanted:
        raise ValueError("CBOR")
    return end


def _text(cid: bytes) -> Cid:
    """A CID's usual text: base58 for version 0 (a bare sha2-256 multihash), else base32."""
    if cid[:2] == b"\x12\x20" and len(cid) == 34:
        return Cid(_base58(cid))
    if cid[0] != 1:
        raise ValueError("CID version")
    return Cid("b" + base64.b32encode(cid).decode().lower().rstrip("="))


def _base58(data: bytes) -> str:
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit] + text
    return text
