"""Leaving a provider with a tree of over 100,000 leaves, by the real kernel: no number of leases keeps a client in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from shale.chain.chain import Chain
from shale.ledger.rebuild import rebuild_at
from shale.market.lease import EndReason
from shale.market.order import PayKey
from shale.payments.batch import Leaf, Operation
from shale.payments.history import ShardFold, ShardHistory
from shale.proofs.kernel import KernelProver
from shale.proofs.pipe import MAX_LINE
from shale.proofs.subtrees import leaf_to_wire
from shale.units import ZERO, Address, AttoFil, LeaseId

MANY = 100_001
PROVIDER = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
KEY = PayKey("0x" + "1a" * 32, "0x" + "0b" * 32)


@dataclass
class Events:
    """A node's events of one provider, of which the oldest are folded to these leaves."""

    leaves: list[Leaf]

    async def shard_history(self, provider: Address, root: str) -> ShardHistory:
        return ShardHistory(provider, 1, (), ShardFold(root, 1, leaves={leaf.index: leaf for leaf in self.leaves}))


@pytest.fixture
async def prover() -> AsyncIterator[KernelProver]:
    prover = KernelProver()
    yield prover
    await prover.close()


@pytest.fixture
def lines(prover: KernelProver, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The method and the length of each line that the kernel is told."""
    told: list[tuple[str, int]] = []
    call = prover._pipe.call

    async def overheard(method: str, params: dict[str, Any], *rest: Any) -> dict[str, Any]:
        told.append((method, len(json.dumps(params))))
        return await call(method, params, *rest)

    monkeypatch.setattr(prover._pipe, "call", overheard)
    return told


async def test_a_lease_among_a_hundred_thousand_is_closed_by_proof(
    prover: KernelProver, lines: list[tuple[str, int]]
) -> None:
    # Free leases of the provider's own, and one of a client among them.
    leaves = [Leaf(index, LeaseId(f"0x{index + 1:062x}"), KEY) for index in range(MANY)]
    mine = leaves[70_000] = replace(leaves[70_000], amount=AttoFil(5), seconds=2)
    assert len(json.dumps([leaf_to_wire(leaf) for leaf in leaves])) > 1.5 * MAX_LINE

    root = await prover.root(leaves)
    rebuilt = await rebuild_at(cast(Chain, Events(leaves)), prover, PROVIDER, root)
    domain = await prover.domain(31415926, PROVIDER)
    proof = await prover.prove(
        domain, 1, mine.index, rebuilt, [Operation(mine, False, True, None, EndReason.CLIENT_ENDED)]
    )
    assert (proof.old_root, proof.earned) == (root, ZERO)
    assert await prover.check_proof(proof)
    assert max(length for _, length in lines) < MAX_LINE // 8
    # 25 subtrees, each hashed once for both roots and the proof.
    assert [method for method, _ in lines].count("ledger.subtree") == MANY // 4096 + 1

    left = await prover.root([leaf for leaf in leaves if leaf is not mine])
    assert proof.new_root == left
    assert [method for method, _ in lines].count("ledger.subtree") == MANY // 4096 + 2
