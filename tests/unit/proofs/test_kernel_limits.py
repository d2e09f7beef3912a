"""What one line to the kernel holds: far less than it may, however large the tree."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from shale.market.order import PayKey
from shale.payments.batch import MAX_LEAVES, SUBTREE_HEIGHT, TREE_DEPTH, Leaf, Operation
from shale.payments.voucher import Voucher
from shale.proofs import kernel
from shale.proofs.pipe import MAX_LINE
from shale.proofs.subtrees import Subtrees
from shale.units import AttoFil, LeaseId

LEASE = LeaseId("0x" + "ff" * 31)
KEY = PayKey("0x" + "ff" * 32, "0x" + "ff" * 32)
LARGEST = Leaf(2**TREE_DEPTH - 1, LEASE, KEY, AttoFil(2**96 - 1), 2**64 - 1)
PART = 2**SUBTREE_HEIGHT


async def test_the_largest_batch_on_the_fullest_tree_is_an_eighth_of_a_line() -> None:
    asked: list[dict[str, Any]] = []

    async def ask(number: int, leaves: list[dict[str, Any]]) -> str:
        asked.append({"number": number, "leaves": leaves})
        return "0x" + "ff" * 32

    # Of each part the first leaf, and one part in full: a million leaves would say no more.
    leaves = [replace(LARGEST, index=index) for index in (*range(0, MAX_LEAVES, PART), *range(1, PART))]
    voucher = Voucher(LEASE, LARGEST.amount, LARGEST.seconds, "0x" + "ff" * 64)
    operations = [kernel._operation(Operation(LARGEST, True, True, voucher))] * 256
    params = await Subtrees(ask).params(leaves, 0)
    assert (len(params["leaves"]), len(params["subtrees"]), len(asked)) == (PART, 255, 255)
    assert len(json.dumps(params | {"operations": operations})) + 1024 <= MAX_LINE // 8
    await Subtrees(ask).params(leaves)
    assert max(len(json.dumps(params)) for params in asked) + 1024 <= MAX_LINE // 8
