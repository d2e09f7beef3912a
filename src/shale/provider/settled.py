"""Settled: what a settlement did: the batches that it posted, and what it could not claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shale.chain.chain import Receipt
from shale.payments.batch import Batch
from shale.provider.ledger_books import Kept
from shale.units import AttoFil, LeaseId


@dataclass(frozen=True, slots=True)
class Settled:
    """One posted batch."""

    batch: Batch
    kept: Kept
    receipt: Receipt

    def to_json(self) -> dict[str, Any]:
        proof = self.kept.proof
        return {
            "operations": len(self.batch.operations),
            "size": self.batch.size,
            "window": self.batch.window,
            "old_root": proof.old_root,
            "new_root": proof.new_root,
            "constraints": proof.constraints,
            "witness_seconds": round(proof.witness_seconds, 3),
            "prove_seconds": round(proof.prove_seconds, 3),
            "tx": self.receipt.tx,
            "gas": self.receipt.gas,
            "fee_attofil": str(self.receipt.fee.value),
            "earned_attofil": str(proof.earned.value),
            "refunded_attofil": str(self.kept.refunded.value),
            "leases": list(self.batch.leases),
        }


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """What was paid for a lease and can't be claimed now."""

    lease: LeaseId
    amount: AttoFil
    why: str

    def to_json(self) -> dict[str, Any]:
        return {"lease_id": self.lease, "unclaimed_attofil": str(self.amount.value), "why": self.why}
