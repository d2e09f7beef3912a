"""CARs, sectors and commitments by a second hand: the formats written out plainly, with none of this project's code."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path

RAW, DAG_PB = 0x55, 0x70


def varint(number: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


class Block:
    """Bytes and their CID, version 1 by sha2-256."""

    def __init__(self, codec: int, data: bytes) -> None:
        self.data = data
        self.cid = bytes([1, codec, 0x12, 0x20]) + hashlib.sha256(data).digest()

    @property
    def text(self) -> str:
        return text_of(self.cid)


def text_of(cid: bytes) -> str:
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


def _field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def _node(data: bytes, links: Iterable[tuple[str, Block, int]]) -> Block:
    """A dag-pb node: links (field 2) first, then its data (field 1)."""
    parts = [_field(2, _field(1, b.cid) + _field(2, name.encode()) + _number(3, size)) for name, b, size in links]
    return Block(DAG_PB, b"".join(parts) + _field(1, data))


def file_of(leaves: list[bytes]) -> tuple[Block, list[Block]]:
    """A UnixFS file over these leaves, and all of its blocks."""
    blocks = [Block(RAW, leaf) for leaf in leaves]
    data = _number(1, 2) + _number(3, sum(map(len, leaves))) + b"".join(_number(4, len(leaf)) for leaf in leaves)
    top = _node(data, [("", block, len(block.data)) for block in blocks])
    return top, [top, *blocks]


def folder_of(entries: dict[str, Block]) -> Block:
    """A UnixFS directory."""
    return _node(_number(1, 1), [(name, entries[name], len(entries[name].data)) for name in sorted(entries)])


def car(root: Block, blocks: Iterable[Block]) -> bytes:
    """A CAR, version 1. Its header is CBOR: {"roots": [CID], "version": 1}."""
    link = b"\xd8\x2a\x58" + bytes([len(root.cid) + 1]) + b"\0" + root.cid
    header = b"\xa2\x65roots\x81" + link + b"\x67version\x01"
    out = [varint(len(header)) + header]
    out += [varint(len(b.cid) + len(b.data)) + b.cid + b.data for b in blocks]
    return b"".join(out)


def car2(inner: bytes) -> bytes:
    """The same as version 2, without an index: pragma, characteristics, offset, size, no index."""
    head = bytes(16) + (51).to_bytes(8, "little") + len(inner).to_bytes(8, "little") + bytes(8)
    return b"\x0a\xa1\x67version\x02" + head + inner


def fr32(raw: bytes) -> bytes:
    """Each 254 bits of data become 256: two zero bits behind them."""
    bits = int.from_bytes(raw + bytes(-len(raw) % 127), "little")
    out = bytearray()
    for _ in range(-(-len(raw) // 127) * 4):
        out += (bits & ((1 << 254) - 1)).to_bytes(32, "little")
        bits >>= 254
    return bytes(out)


def padded(raw: bytes) -> bytes:
    """As a piece: fr32, with zeros up to a power of two."""
    data = b"".join(fr32(raw[at : at + 127 * 64]) for at in range(0, len(raw), 127 * 64))
    size = 128
    while size < len(data):
        size *= 2
    return data + bytes(size - len(data))


def commitment(piece: bytes) -> str:
    """Piece CID, version 1, of a padded piece."""
    return text_of(bytes.fromhex("0181e203922020") + _root_of(piece))


def _root_of(piece: bytes) -> bytes:
    """The root of the tree over a padded piece."""
    nodes = [piece[at : at + 32] for at in range(0, len(piece), 32)]
    while len(nodes) > 1:
        pairs = zip(nodes[::2], nodes[1::2], strict=True)
        digests = [hashlib.sha256(left + right).digest() for left, right in pairs]
        nodes = [digest[:31] + bytes([digest[31] & 0x3F]) for digest in digests]
    return nodes[0]


def sector(path: Path, size: int, pieces: dict[int, bytes]) -> None:
    """An unsealed sector file as lotus keeps it: padded pieces at their offsets, then the list of what is there."""
    with path.open("wb") as file:
        for at, piece in pieces.items():
            file.seek(at)
            file.write(piece)
        file.truncate(size)
        file.seek(size)
        trailer = _rle({at: len(piece) for at, piece in pieces.items()})
        file.write(trailer + len(trailer).to_bytes(4, "little"))


def aggregate(pieces: list[bytes]) -> bytes:
    """The raw bytes of a piece (FRC-0058) that holds these, each a raw piece, with their index at its end."""
    each = max(len(padded(piece)) for piece in pieces)
    whole = each
    while whole < each * (len(pieces) + 1):
        whole *= 2
    entries = b""
    out = bytearray(whole // 128 * 127)
    for number, piece in enumerate(pieces):
        at = number * each // 128 * 127
        out[at : at + len(piece)] = piece
        tree = padded(piece) + bytes(each - len(padded(piece)))
        entry = _root_of(tree) + (number * each).to_bytes(8, "little") + each.to_bytes(8, "little")
        check = bytearray(hashlib.sha256(entry + bytes(16)).digest()[:16])
        check[15] &= 0x3F
        entries += entry + check
    share = whole // 2048 // 64
    room = 64 * (4 if share <= 4 else 1 << (share.bit_length() - 1))
    index = _unpadded(entries + bytes(room - len(entries)))
    out[len(out) - len(index) :] = index
    return bytes(out)


def _unpadded(data: bytes) -> bytes:
    """What fr32 made this of."""
    bits = 0
    for number, at in enumerate(range(0, len(data), 32)):
        bits |= int.from_bytes(data[at : at + 32], "little") << (254 * number)
    return bits.to_bytes(len(data) // 128 * 127, "little")


def _rle(extents: dict[int, int]) -> bytes:
    """RLE+: 2 bits of version, 1 of the first run's value, then the runs' lengths; bits from the lowest."""
    runs: list[int] = []
    at = 0
    for start in sorted(extents):
        if start > at:
            runs.append(start - at)
            runs.append(extents[start])
        elif runs:
            runs[-1] += extents[start]
        else:
            runs.append(extents[start])
        at = start + extents[start]
    bits = [0, 0, int(0 in extents)]
    for run in runs:
        if run == 1:
            bits += [1]
        elif run < 16:
            bits += [0, 1] + [run >> bit & 1 for bit in range(4)]
        else:
            bits += [0, 0] + [byte >> bit & 1 for byte in varint(run) for bit in range(8)]
    bits += [0] * (-len(bits) % 8)
    packed = (sum(bit << place for place, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8))
    return bytes(packed).rstrip(b"\0")
