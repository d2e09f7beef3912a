"""Prover: the port to payment keys, vouchers and the ledger's proofs (docs/protocol.md, sections 3 to 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shale.market.order import PayKey
from shale.payments.batch import Leaf, Operation, Proof
from shale.payments.voucher import Voucher
from shale.units import Address, AttoFil, LeaseId


@dataclass(frozen=True, slots=True)
class PaySecret:
    """A payment key with its secret half; the secret never shows in a repr."""

    public: PayKey
    secret: str

    def __repr__(self) -> str:
        return f"PaySecret({self.public})"


@dataclass(frozen=True, slots=True)
class Circuit:
    """What the prover proves with. `unsafe_development` keys are refused by real deployments."""

    batch: int
    depth: int
    constraints: int
    vk_hash: str
    unsafe_development: bool
    empty_root: str


class Prover(Protocol):
    """Errors: `Refused` for wrong input, `ConfigError` for missing keys, `Unavailable` when it died.

    A voucher or key that is malformed doesn't verify; it raises nothing.
    """

    async def keygen(self) -> PaySecret: ...

    async def check_key(self, key: PayKey) -> bool: ...

    async def sign(self, secret: PaySecret, domain: str, lease: LeaseId, amount: AttoFil, seconds: int) -> Voucher: ...

    async def verify(self, key: PayKey, domain: str, voucher: Voucher) -> bool: ...

    async def circuit(self) -> Circuit: ...

    async def domain(self, chain_id: int, ledger: Address) -> str: ...

    async def root(self, leaves: Sequence[Leaf]) -> str: ...

    async def prove(self, domain: str, leaves: Sequence[Leaf], operations: Sequence[Operation]) -> Proof: ...

    async def check_proof(self, proof: Proof) -> bool: ...

    async def close(self) -> None: ...
