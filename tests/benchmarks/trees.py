"""`python -m tests.benchmarks.trees [LEAVES]`: a large tree's roots and the proof of an exit, through the pipe."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Awaitable
from dataclasses import replace

from rich.console import Console
from tests.benchmarks.frame import Row, row, show

from shale.market.order import PayKey
from shale.payments.batch import Leaf, Operation
from shale.payments.history import ShardFold, ShardHistory
from shale.proofs.kernel import KernelProver
from shale.units import Address, AttoFil, LeaseId

ME = Address("0x" + "11" * 20)


async def _rows(many: int) -> list[Row]:
    # Words of their own for each leaf, as the chain's events would give them.
    leaves = [
        Leaf(i, LeaseId(f"0x{i + 1:062x}"), PayKey(f"0x{i + 1:064x}", f"0x{i + 2:064x}"), AttoFil(10**18 + i), i)
        for i in range(many)
    ]
    began = time.perf_counter()
    leaves = ShardHistory(ME, 1, (), ShardFold(leaves={leaf.index: leaf for leaf in leaves})).tree()
    listed = time.perf_counter() - began
    prover = KernelProver()
    try:
        await prover.circuit()
        cold = await _seconds(prover.root(leaves))
        middle = leaves[many // 2] = replace(leaves[many // 2], seconds=2**40)
        warm = await _seconds(prover.root(leaves))
        closing = [Operation(middle, False, True, None)]
        await prover.prove("0x1", 1, middle.index, leaves, closing)  # loads the key
        proven = await _seconds(prover.prove("0x1", 1, middle.index, leaves, closing))
    finally:
        await prover.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        row("leaves", many, ""),
        row("leaves listed from a history", listed, "s"),
        row("root, nothing known", cold, "s"),
        row("root after one change", warm, "s"),
        row("proof of one close", proven, "s"),
        row("most memory, beside the kernel's", memory, "MiB"),
    ]


async def _seconds(call: Awaitable[object]) -> float:
    began = time.perf_counter()
    await call
    return time.perf_counter() - began


if __name__ == "__main__":
    show("trees", asyncio.run(_rows(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)), Console())
