"""The ledger in plain Python, from docs/protocol.md and published constants alone: what Go and Solidity are held to.

It is slow, checks every rule that the circuit has, and shares no code with the kernel or the package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from eth_utils.crypto import keccak

P = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""The scalar field of bn254."""
DEPTH = 20
SIZES = (1, 8, 64, 256)
INSERT, CLAIM, CLOSE = 1, 2, 4

FULL, PARTIAL = 6, 50
"""Poseidon2's rounds; its constants come from a chain of hashes over the name of the instance."""

D = 12181644023421730124874158521699555681764249180949974110617291017600649128846
"""The curve -x² + y² = 1 + D·x²·y², its base point and the order of its large subgroup."""
BASE = (
    9671717474070082183213120605117400219616337014328744928644933853176787189663,
    16950150798460657717958625567821834550301663161624707787222815936182638968203,
)
ORDER = 2736030358979909402780800718157159386076813972158567259200215660948447373041

Point = tuple[int, int]


class Broken(Exception):
    """A rule does not hold."""


@cache
def round_keys() -> list[tuple[int, ...]]:
    """Two for each full round, one for each partial one."""
    digest = keccak(f"Poseidon2-BN254[t=2,rF={FULL},rP={PARTIAL},d=5]".encode())
    keys = []
    for number in range(FULL + PARTIAL):
        row = []
        for _ in range(1 if FULL // 2 <= number < FULL // 2 + PARTIAL else 2):
            digest = keccak(digest)
            row.append(int.from_bytes(digest) % P)
        keys.append(tuple(row))
    return keys


def compress(left: int, right: int) -> int:
    """The permutation of two words, the right one added to its second word."""
    a, b = (2 * left + right) % P, (left + 2 * right) % P
    for key in round_keys():
        if len(key) == 2:
            a, b = pow(a + key[0], 5, P), pow(b + key[1], 5, P)
            a, b = (2 * a + b) % P, (a + 2 * b) % P
        else:
            a = pow(a + key[0], 5, P)
            a, b = (2 * a + b) % P, (a + 3 * b) % P
    return (b + right) % P


def p2(first: int, *rest: int) -> int:
    """A chain of compressions from the first word on."""
    state = first
    for word in rest:
        state = compress(state, word)
    return state


def add(p: Point, q: Point) -> Point:
    product = D * p[0] * q[0] * p[1] * q[1] % P
    x = (p[0] * q[1] + q[0] * p[1]) * pow(1 + product, -1, P)
    y = (p[1] * q[1] + p[0] * q[0]) * pow(1 - product, -1, P)
    return x % P, y % P


def times(scalar: int, p: Point) -> Point:
    total = (0, 1)
    for bit in bin(scalar)[2:]:
        total = add(total, total)
        if bit == "1":
            total = add(total, p)
    return total


def is_key(p: Point) -> bool:
    on_curve = (p[1] * p[1] - p[0] * p[0] - 1 - D * p[0] * p[0] * p[1] * p[1]) % P == 0
    return on_curve and p != (0, 1) and times(ORDER, p) == (0, 1)


def leaf_hash(lease: int, key: Point, amount: int, seconds: int) -> int:
    return p2(lease, key[0], key[1], amount + seconds * 2**128)


def is_signed(domain: int, lease: int, key: Point, amount: int, seconds: int, signature: bytes) -> bool:
    """Whether [S]B - [e]A has the x of R, for a canonical signature under a valid key."""
    if len(signature) != 64 or not is_key(key):
        return False
    rx, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    if rx >= P or s >= ORDER:
        return False
    challenge = compress(compress(domain, leaf_hash(lease, key, amount, seconds)), rx)
    if challenge >= 3 * 2**252:
        return False
    scalar = 2**129 + 1 + 2 * (challenge % 2**128)
    minus = (-key[0] % P, key[1])
    return add(times(s, BASE), times(scalar, minus))[0] == rx


@cache
def empty(height: int) -> int:
    return 0 if height == 0 else compress(empty(height - 1), empty(height - 1))


def root(leaves: dict[int, int]) -> int:
    """Of the tree with these leaf hashes by index."""
    level = {index: value for index, value in leaves.items() if value}
    for height in range(DEPTH):
        parents = {index // 2 for index in level}
        level = {
            parent: compress(level.get(2 * parent, empty(height)), level.get(2 * parent + 1, empty(height)))
            for parent in parents
        }
    return level.get(0, empty(DEPTH))


@dataclass(frozen=True, slots=True)
class Slot:
    """One operation, with what the prover says was there before."""

    index: int
    flags: int
    lease: int
    key: Point
    amount: int
    seconds: int
    prev_amount: int
    prev_seconds: int
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class Batch:
    old_root: int
    new_root: int
    earned: int
    words: tuple[int, ...]
    c: int
    r: int
    e: int
    leaves: dict[int, int]
    """What the tree holds afterwards."""


def apply(domain: int, size: int, window: int, leaves: dict[int, int], slots: list[Slot]) -> Batch:
    """Move a tree, given by its leaf hashes. Raises Broken with the rule that does not hold."""
    _hold(size in SIZES and 0 <= window < 2**DEPTH // size, "a window of the tree")
    by_index = {slot.index: slot for slot in slots}
    _hold(len(by_index) == len(slots), "one operation for each slot")
    _hold(all(slot.index // size == window for slot in slots), "the operations are in the window")
    moved = dict(leaves)
    words, bound, flags, earned = [], [], [], 0
    for index in range(window * size, window * size + size):
        slot = by_index.get(index)
        if slot is None:
            words += [0, 0, 0, 0]
            bound.append(leaf_hash(0, (0, 0), 0, 0))
            flags.append(0)
            continue
        check(domain, leaves.get(index, 0), slot)
        after = leaf_hash(slot.lease, slot.key, slot.amount, slot.seconds)
        moved[index] = 0 if slot.flags & CLOSE else after
        key = slot.key if slot.flags & INSERT else (0, 0)
        words += [slot.lease + slot.flags * 2**248, slot.amount + slot.seconds * 2**96, *key]
        bound.append(after)
        flags.append(slot.flags)
        earned += slot.amount - slot.prev_amount
    old, new = root(leaves), root(moved)
    head = [domain, old, new, window + earned * 2**32]
    packed = [sum(f << 3 * i for i, f in enumerate(flags[at : at + 80])) for at in range(0, size, 80)]
    c = p2(*head, *bound, *packed)
    words = head + words
    r = int.from_bytes(keccak(b"".join(word.to_bytes(32) for word in [*words, c]))) % P
    e = sum(word * pow(r, i, P) for i, word in enumerate(words)) % P
    return Batch(old, new, earned, tuple(words), c, r, e, moved)


def check(domain: int, before: int, slot: Slot) -> None:
    """Hold one operation to the rules of section 4."""
    _hold(1 <= slot.flags <= 7, "a touched slot has a flag")
    _hold(0 <= slot.lease < 2**248, "the lease id has 248 bits")
    _hold(0 <= slot.prev_amount <= slot.amount < 2**96, "the amount has 96 bits and does not fall")
    _hold(0 <= slot.prev_seconds <= slot.seconds < 2**64, "the seconds have 64 bits and do not fall")
    if slot.flags & INSERT:
        _hold(before == 0 and slot.prev_amount == 0 and slot.prev_seconds == 0, "an insert finds nothing")
    else:
        _hold(before == leaf_hash(slot.lease, slot.key, slot.prev_amount, slot.prev_seconds), "the leaf is there")
    if slot.flags & CLAIM:
        signed = is_signed(domain, slot.lease, slot.key, slot.amount, slot.seconds, slot.signature)
        _hold(signed, "a claim is signed")
    else:
        _hold((slot.amount, slot.seconds) == (slot.prev_amount, slot.prev_seconds), "nothing moves without a claim")


def keys_hash(verifying_keys: list[bytes], *, unsafe_development: bool) -> bytes:
    kind = b"shale.keys.unsafe-development" if unsafe_development else b"shale.keys.ceremony"
    return keccak(keccak(kind) + b"".join(keccak(key) for key in verifying_keys))


def domain_of(chain: int, ledger: int, keys: bytes) -> int:
    tag = b"shale.ledger.v2"
    head = [
        (128).to_bytes(32),
        chain.to_bytes(32),
        ledger.to_bytes(32),
        keys,
        len(tag).to_bytes(32),
        tag.ljust(32, b"\0"),
    ]
    return int.from_bytes(keccak(b"".join(head))) >> 8


def _hold(condition: bool, rule: str) -> None:
    if not condition:
        raise Broken(rule)
