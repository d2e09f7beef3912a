"""Prover: the port to payment keys, vouchers and the ledger's proofs (docs/protocol.md, sections 3 to 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shale.market.order import PayKey
from shale.payments.batch import Leaf, Operation, Proof
from shale.payments.voucher import Voucher
from shale.units import Address, AttoFil, LeaseId

Progress = Callable[[str, int], None]
"""Called while a proof is made, with its stage (witness, proof) and how much of that is done, in thousandths."""


@dataclass(frozen=True, slots=True)
class PaySecret:
    """A payment key with its secret half; the secret never shows in a repr."""

    public: PayKey
    secret: str

    def __repr__(self) -> str:
        return f"PaySecret({self.public})"


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file that proofs need: its name in the keys' folder, its SHA-256 in hex, and how many bytes it can have."""

    name: str
    sha256: str
    most: int


@dataclass(frozen=True, slots=True)
class CircuitSize:
    """One size of batch. It is `provable` if its `files` are there; any size's proofs can be checked."""

    size: int
    constraints: int
    vk_hash: str
    provable: bool
    files: tuple[KeyFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Circuit:
    """What the prover proves with. `unsafe_development` keys are refused by real deployments.

    `keys_hash` is over the verifying keys of all sizes: a ledger is deployed for one.
    """

    sizes: tuple[CircuitSize, ...]
    depth: int
    keys_hash: str
    unsafe_development: bool
    empty_root: str

    @property
    def provable(self) -> tuple[int, ...]:
        """The sizes that can be proven here, ascending."""
        return tuple(sorted(size.size for size in self.sizes if size.provable))


class Prover(Protocol):
    """Errors: `Refused` for wrong input, `ConfigError` for missing keys, `Unavailable` when it died.

    A voucher or key that is malformed doesn't verify; it raises nothing.
    """

    async def keygen(self) -> PaySecret: ...

    async def check_key(self, key: PayKey) -> bool: ...

    async def sign(self, secret: PaySecret, domain: str, lease: LeaseId, amount: AttoFil, seconds: int) -> Voucher: ...

    async def verify(self, key: PayKey, domain: str, voucher: Voucher) -> bool: ...

    async def verify_many(self, items: Sequence[tuple[PayKey, Voucher]], domain: str) -> list[bool]:
        """Which of the vouchers verify, in their order: any number, on all cores."""
        ...

    async def circuit(self) -> Circuit: ...

    async def domain(self, chain_id: int, ledger: Address) -> str: ...

    async def root(self, leaves: Sequence[Leaf]) -> str: ...

    async def prove(
        self,
        domain: str,
        size: int,
        window: int,
        leaves: Sequence[Leaf],
        operations: Sequence[Operation],
        progress: Progress | None = None,
    ) -> Proof:
        """Prove a batch of `operations`, in ascending slots of the window, on the tree of all `leaves`."""
        ...

    async def check_proof(self, proof: Proof) -> bool: ...

    async def close(self) -> None: ...
