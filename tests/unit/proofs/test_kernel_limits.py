"""What one call of the kernel takes: a provider's whole tree, up to where it takes no more leases."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from shale.errors import Refused
from shale.market.order import PayKey
from shale.payments.batch import MAX_LEAVES, TREE_DEPTH, Leaf, Operation
from shale.payments.voucher import Voucher
from shale.proofs import kernel
from shale.proofs.pipe import MAX_LINE
from shale.units import AttoFil, LeaseId

LEASE = LeaseId("0x" + "ff" * 31)
KEY = PayKey("0x" + "ff" * 32, "0x" + "ff" * 32)
LARGEST = Leaf(2**TREE_DEPTH - 1, LEASE, KEY, AttoFil(2**96 - 1), 2**64 - 1)


def test_a_full_tree_and_its_largest_batch_fit_a_line() -> None:
    voucher = Voucher(LEASE, LARGEST.amount, LARGEST.seconds, "0x" + "ff" * 64)
    operation = Operation(LARGEST, True, True, voucher)
    params = {"leaves": [kernel._leaf(LARGEST)] * MAX_LEAVES, "operations": [kernel._operation(operation)] * 256}
    assert len(json.dumps(params)) + 1024 <= MAX_LINE


async def test_a_tree_that_is_too_large_is_told_in_leaves(tmp_path: Path) -> None:
    prover = kernel.KernelProver(tmp_path, Path(sys.executable))
    try:
        with pytest.raises(Refused, match=r"the tree has 60000 leaves.*update Shale"):
            await prover.root([LARGEST] * 60_000)
        with pytest.raises(Refused, match=r"the tree has 60000 leaves"):
            await prover.prove("0x1", 1, 0, [LARGEST] * 60_000, [])
    finally:
        await prover.close()
