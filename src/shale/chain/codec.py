"""Codec: values to ABI bytes and back, for the types that our contracts have; what comes from a node is bounded.

Types are as Solidity's ABI specification names them: uintN, address, bool, bytesN, bytes, string, tuples, arrays of
them. Integers, bytes, text, bool and checksummed addresses stand for them in Python; tuples and lists for the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from shale.hashes import keccak
from shale.units import checked_address

MAX_ITEMS = 100_000
"""Of all values in one answer together."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type: `name` for a plain one, `parts` for a tuple, `item` for an array (`length` -1: of any length)."""

    name: str
    parts: tuple[Kind, ...] = ()
    item: Kind | None = None
    length: int = -1

    @property
    def dynamic(self) -> bool:
        if self.item is not None:
            return self.length < 0 or self.item.dynamic
        return self.name in ("bytes", "string") or any(part.dynamic for part in self.parts)

    @property
    def size(self) -> int:
        """Bytes in the head: a dynamic one has its offset there."""
        if self.dynamic:
            return 32
        if self.item is not None:
            return self.length * self.item.size
        return sum(part.size for part in self.parts) if self.parts or self.name == "()" else 32


@cache
def kind_of(text: str) -> Kind:
    """The type that a text such as `(uint256,bytes)[]` names. Raises ValueError."""
    array = re.fullmatch(r"(.+)\[([0-9]{0,4})\]", text)
    if array:
        return Kind(text, item=kind_of(array[1]), length=int(array[2]) if array[2] else -1)
    if text.startswith("(") and text.endswith(")"):
        return Kind(text, parts=tuple(kind_of(part) for part in _split(text[1:-1])))
    number = re.fullmatch(r"uint([0-9]{1,3})", text)
    if text in ("address", "bool", "bytes", "string") or (number and 8 <= int(number[1]) <= 256):
        return Kind(text)
    fixed = re.fullmatch(r"bytes([0-9]{1,2})", text)
    if fixed and 1 <= int(fixed[1]) <= 32:
        return Kind(text)
    raise ValueError(f"{text} is not a type of our contracts")


def selector(signature: str) -> bytes:
    """The four bytes that name a function or an error."""
    return keccak(signature.encode())[:4]


def encode(kinds: Sequence[Kind], values: Sequence[Any]) -> bytes:
    """The values as a call's arguments. Raises ValueError for a value that isn't of its type."""
    if len(kinds) != len(values):
        raise ValueError(f"{len(values)} values for {len(kinds)} types")
    head, tail = [], []
    at = sum(kind.size for kind in kinds)
    for kind, value in zip(kinds, values, strict=True):
        data = _encode(kind, value)
        if kind.dynamic:
            head.append(at.to_bytes(32, "big"))
            tail.append(data)
            at += len(data)
        else:
            head.append(data)
    return b"".join(head + tail)


def decode(kinds: Sequence[Kind], data: bytes) -> tuple[Any, ...]:
    """The values in an answer. Raises ValueError for bytes that aren't such an answer."""
    return tuple(_Reader(data).values(kinds, 0))


def _encode(kind: Kind, value: Any) -> bytes:
    if kind.item is not None:
        items = list(value)
        if kind.length >= 0 and len(items) != kind.length:
            raise ValueError(f"{len(items)} values for {kind.name}")
        data = encode([kind.item] * len(items), items)
        return data if kind.length >= 0 else len(items).to_bytes(32, "big") + data
    if kind.parts or kind.name == "()":
        return encode(kind.parts, list(value.values()) if isinstance(value, dict) else value)
    if kind.name in ("bytes", "string"):
        raw = value.encode() if kind.name == "string" else _raw(value)
        return len(raw).to_bytes(32, "big") + raw + bytes(-len(raw) % 32)
    if kind.name.startswith("bytes"):
        raw = _raw(value)
        if len(raw) != int(kind.name[5:]):
            raise ValueError(f"{len(raw)} bytes for {kind.name}")
        return raw.ljust(32, b"\0")
    if kind.name == "address":
        return bytes(12) + bytes.fromhex(checked_address(value)[2:])
    if kind.name == "bool":
        return int(bool(value)).to_bytes(32, "big")
    number = int(value)
    if not 0 <= number < 1 << int(kind.name[4:]):
        raise ValueError(f"{number} does not fit {kind.name}")
    return number.to_bytes(32, "big")


def _raw(value: Any) -> bytes:
    return bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else bytes(value)


class _Reader:
    """Reads strictly: padding is zero, numbers fit their types, offsets lie inside, and items are counted."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MAX_ITEMS

    def values(self, kinds: Sequence[Kind], base: int) -> list[Any]:
        """Values whose heads begin at `base`, from where their offsets count."""
        found, at = [], base
        for kind in kinds:
            place = base + self._number(at) if kind.dynamic else at
            found.append(self._value(kind, place))
            at += kind.size
        return found

    def _value(self, kind: Kind, at: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError("too many values")
        if kind.item is not None:
            count = kind.length
            if count < 0:
                count = self._number(at)
                at += 32
            if count * max(kind.item.size, 1) > len(self._data) - at:
                raise ValueError("an array reaches over the end")
            return self.values([kind.item] * count, at)
        if kind.parts or kind.name == "()":
            return tuple(self.values(kind.parts, at))
        if kind.name in ("bytes", "string"):
            raw = self._bytes(at + 32, self._number(at))
            return raw.decode("utf-8", "replace") if kind.name == "string" else raw
        return _plain(kind.name, self._bytes(at, 32))

    def _number(self, at: int) -> int:
        number = int.from_bytes(self._bytes(at, 32), "big")
        if number > len(self._data):
            raise ValueError("an offset or a length reaches over the end")
        return number

    def _bytes(self, at: int, size: int) -> bytes:
        if at + size > len(self._data):
            raise ValueError("the data ends early")
        return self._data[at : at + size]


def _plain(name: str, word: bytes) -> Any:
    if name.startswith("bytes"):
        size = int(name[5:])
        if any(word[size:]):
            raise ValueError("padding is not zero")
        return word[:size]
    number = int.from_bytes(word, "big")
    bits = {"address": 160, "bool": 1}.get(name) or int(name[4:])
    if number >> bits:
        raise ValueError(f"{name} is out of bounds")
    if name == "address":
        return checked_address(f"0x{number:040x}")
    return bool(number) if name == "bool" else number


def _split(text: str) -> list[str]:
    """The parts of a tuple's text, at the commas outside of inner brackets."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]] if text else []
