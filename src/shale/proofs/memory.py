"""MemoryProver: the rules of the kernel's prover without its circuit, for tests; it proves nothing to others.

Vouchers carry real signatures (Ed25519 in place of the circuit's curve), a root is a SHA-256 of the leaves; a
"proof" is a digest that only says that this code has checked the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shale.errors import ConfigError, Refused
from shale.market.order import PayKey
from shale.payments.batch import SIZES, TREE_DEPTH, Batch, Leaf, Operation, Proof
from shale.payments.voucher import Voucher
from shale.payments.words import FIELD, batch_words, challenge, check_batch, evaluation, hex_word
from shale.proofs.prover import Circuit, CircuitSize, PaySecret, Progress
from shale.units import Address, AttoFil, LeaseId

_KEYS_HASH = "0x" + sha256(b"shale.memory.keys").hexdigest()


class MemoryProver:
    """A Prover that needs no process and no keys; any two of them understand each other."""

    def __init__(self, provable: Sequence[int] = SIZES) -> None:
        self._provable = provable

    async def keygen(self) -> PaySecret:
        secret = Ed25519PrivateKey.generate()
        return PaySecret(_pay_key(secret.public_key().public_bytes_raw()), "0x" + secret.private_bytes_raw().hex())

    async def check_key(self, key: PayKey) -> bool:
        return _point(key) is not None

    async def sign(self, secret: PaySecret, domain: str, lease: LeaseId, amount: AttoFil, seconds: int) -> Voucher:
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret.secret[2:]))
        signature = key.sign(_message(domain, lease, amount, seconds))
        return Voucher(lease, amount, seconds, "0x" + signature.hex())

    async def verify(self, key: PayKey, domain: str, voucher: Voucher) -> bool:
        return _signed(key, domain, voucher)

    async def verify_many(self, items: Sequence[tuple[PayKey, Voucher]], domain: str) -> list[bool]:
        return [_signed(key, domain, voucher) for key, voucher in items]

    async def circuit(self) -> Circuit:
        sizes = tuple(CircuitSize(size, 0, _KEYS_HASH, size in self._provable) for size in SIZES)
        return Circuit(sizes, TREE_DEPTH, _KEYS_HASH, True, _root({}))

    async def domain(self, chain_id: int, ledger: Address) -> str:
        return _digest(b"domain", f"{chain_id} {ledger.lower()}".encode())

    async def root(self, leaves: Sequence[Leaf]) -> str:
        return _root(_tree(leaves))

    async def prove(
        self,
        domain: str,
        size: int,
        window: int,
        leaves: Sequence[Leaf],
        operations: Sequence[Operation],
        progress: Progress | None = None,
    ) -> Proof:
        batch = Batch(size, window, tuple(operations))
        check_batch(batch)
        if size not in self._provable:
            raise ConfigError(f"there is no proving key of size {size}", f"shale provider keys make --size {size}")
        tree = _tree(leaves)
        old_root = _root(tree)
        for position, operation in enumerate(operations):
            why = _objection(domain, tree, operation)
            if why:
                raise Refused(f"operation {position}: {why}")
            after = operation.after()
            tree.pop(operation.leaf.index, None)
            if after is not None:
                tree[after.index] = after
        new_root = _root(tree)
        words = batch_words(int(domain, 16), int(old_root, 16), int(new_root, 16), batch, batch.earned)
        c = _commitment(words)
        r = challenge(words, int(c, 16))
        e = hex_word(evaluation(words, r))
        if progress is not None:
            progress("proof", 1000)
        return Proof(
            size,
            window,
            old_root,
            new_root,
            batch.earned,
            c,
            hex_word(r),
            e,
            _seal(size, c, hex_word(r), e),
            constraints=0,
            witness_seconds=0.0,
            prove_seconds=0.0,
        )

    async def check_proof(self, proof: Proof) -> bool:
        return proof.proof == _seal(proof.size, proof.c, proof.r, proof.e)

    async def close(self) -> None:
        """Nothing to let go of."""


def _objection(domain: str, tree: dict[int, Leaf], operation: Operation) -> str:
    """Why the circuit would not hold for this operation on this tree; empty if it does (section 4)."""
    leaf, found = operation.leaf, tree.get(operation.leaf.index)
    if not 0 <= leaf.index < 2**TREE_DEPTH:
        return f"index {leaf.index} is outside of the tree"
    if operation.insert and found is not None:
        return f"index {leaf.index} is in use"
    if operation.insert and (leaf.amount or leaf.seconds):
        return "a new leaf starts with nothing paid"
    if not operation.insert and found != leaf:
        return f"the leaf at index {leaf.index} is another one"
    return _voucher_objection(domain, leaf, operation.voucher) if operation.voucher else ""


def _voucher_objection(domain: str, leaf: Leaf, voucher: Voucher) -> str:
    if voucher.lease != leaf.lease or not _signed(leaf.key, domain, voucher):
        return "the voucher's signature is not by the lease's payment key"
    lower = voucher.amount < leaf.amount or voucher.seconds < leaf.seconds
    return "the voucher is lower than what is redeemed" if lower else ""


def _message(domain: str, lease: LeaseId, amount: AttoFil, seconds: int) -> bytes:
    return f"shale.memory.voucher {domain} {lease} {amount.value} {seconds}".encode()


def _signed(key: PayKey, domain: str, voucher: Voucher) -> bool:
    point = _point(key)
    try:
        signature = bytes.fromhex(voucher.signature.removeprefix("0x"))
        if point is None or len(signature) != 64:
            return False
        message = _message(domain, voucher.lease, voucher.amount, voucher.seconds)
        Ed25519PublicKey.from_public_bytes(point).verify(signature, message)
    except (ValueError, InvalidSignature):
        return False
    return True


def _pay_key(point: bytes) -> PayKey:
    """An Ed25519 key as two words: half of it each, the second with a check that junk doesn't pass."""
    return PayKey("0x" + point[:16].hex().zfill(64), "0x00" + _check(point) + point[16:].hex())


def _point(key: PayKey) -> bytes | None:
    try:
        point = bytes.fromhex(key.x[34:66] + key.y[34:66])
    except ValueError:
        return None
    return point if len(point) == 32 and key == _pay_key(point) else None


def _check(point: bytes) -> str:
    return sha256(b"shale.memory.key" + point).hexdigest()[:30]


def _tree(leaves: Sequence[Leaf]) -> dict[int, Leaf]:
    tree = {leaf.index: leaf for leaf in leaves}
    if len(tree) != len(leaves):
        raise Refused("two leaves have the same index")
    if any(not 0 <= index < 2**TREE_DEPTH for index in tree):
        raise Refused("a leaf's index is outside of the tree")
    return tree


def _root(tree: dict[int, Leaf]) -> str:
    """A digest of the leaves by index; the empty tree has one too."""
    return _digest(b"root", repr([tree[index] for index in sorted(tree)]).encode())


def _commitment(words: Sequence[int]) -> str:
    return _digest(b"words", b"".join(word.to_bytes(32, "big") for word in words))


def _seal(size: int, c: str, r: str, e: str) -> tuple[str, ...]:
    return tuple(_digest(b"proof", f"{part} {size} {c} {r} {e}".encode()) for part in range(8))


def _digest(kind: bytes, data: bytes) -> str:
    return hex_word(int.from_bytes(sha256(b"shale.memory." + kind + b" " + data).digest(), "big") % FIELD)
