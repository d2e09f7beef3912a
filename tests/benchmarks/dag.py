"""CARs of one large file, written in moments: full of small blocks, or hollow, with holes of the disk for leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

LINKS = 1024
"""Links of a node, as `shale piece pack` makes them."""
RAW, DAG_PB = b"\x01\x55\x12\x20", b"\x01\x70\x12\x20"
"""What a CID begins with: version 1, codec, sha2-256 of 32 bytes."""


class Link(NamedTuple):
    """A block and how many bytes of the file lie under it."""

    cid: bytes
    size: int


def small_blocks(path: Path, count: int, size: int) -> None:
    """A sound CAR whose file has `count` leaves of `size` bytes, all different."""

    def leaf(number: int) -> bytes:
        return number.to_bytes(8, "little") * (size // 8)

    links = [Link(RAW + hashlib.sha256(leaf(number)).digest(), size) for number in range(count)]
    with path.open("wb") as car:
        _header(car, links)
        head = _varint(len(RAW) + 32 + size)
        for number, link in enumerate(links):
            car.write(head + link.cid + leaf(number))
        _nodes(car, links)


def hollow(path: Path, leaves: int) -> None:
    """A CAR of leaves of 1 MiB that take no space: their headers and all nodes are there, their bytes are holes."""
    size = 1 << 20
    links = [Link(RAW + hashlib.sha256(number.to_bytes(8, "little")).digest(), size) for number in range(leaves)]
    with path.open("wb") as car:
        _header(car, links)
        head = _varint(len(RAW) + 32 + size)
        for link in links:
            car.write(head + link.cid)
            car.seek(size, 1)
        _nodes(car, links)


def _header(car: BinaryIO, leaves: list[Link]) -> None:
    """CARv1's header, `{"roots": [root], "version": 1}` in DAG-CBOR (ipld.io/specs/transport/car/carv1)."""
    *_, (root, _) = _levels(leaves)
    body = b"\xa2\x65roots\x81\xd8\x2a\x58" + bytes([len(root.cid) + 1]) + b"\0" + root.cid + b"\x67version\x01"
    car.write(_varint(len(body)) + body)


def _nodes(car: BinaryIO, leaves: list[Link]) -> None:
    for link, node in _levels(leaves):
        car.write(_varint(len(link.cid) + len(node)) + link.cid + node)


def _levels(links: list[Link]) -> Iterator[tuple[Link, bytes]]:
    """The nodes above the leaves, children before parents; the last one is the root."""
    while len(links) > 1:
        above = []
        for first in range(0, len(links), LINKS):
            link, node = _node(links[first : first + LINKS])
            above.append(link)
            yield link, node
        links = above


def _node(children: list[Link]) -> tuple[Link, bytes]:
    """A dag-pb node with UnixFS's File in it (ipld.io/specs/codecs/dag-pb, specs.ipfs.tech/unixfs)."""
    node = b"".join(_field(2, _field(1, cid) + _field(2, b"") + b"\x18" + _varint(size)) for cid, size in children)
    total = sum(size for _, size in children)
    file = b"\x08\x02\x18" + _varint(total) + b"".join(b"\x20" + _varint(size) for _, size in children)
    node += _field(1, file)
    return Link(DAG_PB + hashlib.sha256(node).digest(), total), node


def _field(number: int, value: bytes) -> bytes:
    """A field of bytes in protobuf."""
    return bytes([number << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
