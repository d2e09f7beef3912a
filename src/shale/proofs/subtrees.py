"""Subtrees: a tree of up to 2^20 leaves, told to the kernel in parts of 4,096 (docs/protocol.md, section 6)."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from operator import attrgetter
from typing import Any

from shale.errors import Refused
from shale.payments.batch import SUBTREE_HEIGHT, Leaf

MAX_KEPT = 1024
"""Hashes of subtrees that are remembered, some 200 bytes each: those of four full trees."""

HashSubtree = Callable[[int, list[dict[str, Any]]], Awaitable[str]]
"""The kernel's hash of a subtree, from its number and its leaves in their wire form."""


class Subtrees:
    """Tells trees to the kernel; `ask` is called for the subtrees whose hashes aren't known yet, one after the other.

    A hash is remembered by exactly the leaves that it is of: a tree that was told before costs what has changed since.
    """

    def __init__(self, ask: HashSubtree) -> None:
        self._ask = ask
        self._known: OrderedDict[bytes, str] = OrderedDict()

    async def params(self, leaves: Sequence[Leaf], own: int | None = None) -> dict[str, Any]:
        """The tree as a call's params: the `leaves` of the subtree `own`, and `subtrees`, the others by their hashes.

        Raises Refused when leaves can't stand in one tree; whether those of `own` can, the call itself tells.
        """
        parts: defaultdict[int, list[Leaf]] = defaultdict(list)
        for leaf in leaves:
            parts[leaf.index >> SUBTREE_HEIGHT].append(leaf)
        for number, part in parts.items():
            if len(part) > 2**SUBTREE_HEIGHT:
                raise Refused(f"two of the leaves in subtree {number} have the same index")
        kept = [] if own is None else parts.pop(own, [])
        others = [[number, await self._hash(number, parts[number])] for number in sorted(parts)]
        return {"leaves": [leaf_to_wire(leaf) for leaf in kept], "subtrees": others}

    async def _hash(self, number: int, part: list[Leaf]) -> str:
        part.sort(key=attrgetter("index"))
        key = _key(part)
        if (known := self._known.get(key)) is None:
            known = await self._ask(number, [leaf_to_wire(leaf) for leaf in part])
            self._known[key] = known
            if len(self._known) > MAX_KEPT:
                self._known.popitem(last=False)
        else:
            await asyncio.sleep(0)  # a part takes milliseconds, a tree of them seconds: others have their turns
        self._known.move_to_end(key)
        return known


def leaf_to_wire(leaf: Leaf) -> dict[str, Any]:
    return {
        "index": leaf.index,
        "lease_id": leaf.lease,
        "x": leaf.key.x,
        "y": leaf.key.y,
        "amount": str(leaf.amount.value),
        "seconds": leaf.seconds,
    }


def _key(part: list[Leaf]) -> bytes:
    """A digest of exactly these leaves: it keeps none of them in memory."""
    plain: list[int | str] = []
    for leaf in part:
        plain += (leaf.index, leaf.lease, leaf.key.x, leaf.key.y, leaf.amount.value, leaf.seconds)
    return sha256(json.dumps(plain).encode()).digest()
