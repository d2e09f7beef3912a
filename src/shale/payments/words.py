"""Words: a batch as the field elements of circuit and contract, and as calldata (docs/protocol.md, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from shale.errors import InputRefused
from shale.hashes import keccak
from shale.payments.batch import SIZES, Batch, Operation
from shale.units import AttoFil

FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""The order p of bn254's scalar field: every word is below it."""

INSERT, CLAIM, CLOSE = 1, 2, 4


def flags_of(operation: Operation) -> int:
    """The operation's flags as circuit and contract take them."""
    claim = CLAIM if operation.voucher is not None else 0
    return INSERT * operation.insert + claim + CLOSE * operation.close


def batch_words(domain: int, old_root: int, new_root: int, batch: Batch, earned: AttoFil) -> list[int]:
    """The batch data `m`: four words, then four for each slot, all zeros where a slot is untouched."""
    words = [domain, old_root, new_root, batch.window | earned.value << 32] + [0] * (4 * batch.size)
    for operation in batch.operations:
        leaf, at = operation.leaf, 4 + 4 * slot_of(operation, batch)
        words[at] = int(leaf.lease, 16) | flags_of(operation) << 248
        words[at + 1] = operation.amount.value | operation.seconds << 96
        if operation.insert:
            words[at + 2], words[at + 3] = int(leaf.key.x, 16), int(leaf.key.y, 16)
    return words


def pack_operations(batch: Batch) -> bytes:
    """The operations as the contract takes them: 54 bytes each, 118 with an insert, in ascending order of slots."""
    packed = bytearray()
    for operation in batch.operations:
        packed += bytes((slot_of(operation, batch), flags_of(operation), operation.reason if operation.close else 0))
        packed += int(operation.leaf.lease, 16).to_bytes(31, "big")
        packed += operation.amount.value.to_bytes(12, "big") + operation.seconds.to_bytes(8, "big")
        if operation.insert:
            packed += int(operation.leaf.key.x, 16).to_bytes(32, "big")
            packed += int(operation.leaf.key.y, 16).to_bytes(32, "big")
    return bytes(packed)


def slot_of(operation: Operation, batch: Batch) -> int:
    """The operation's place in the batch's window. Raises InputRefused outside of it."""
    slot = operation.leaf.index - batch.window * batch.size
    if not 0 <= slot < batch.size:
        raise InputRefused(f"leaf {operation.leaf.index} is not in window {batch.window} of size {batch.size}")
    return slot


def check_batch(batch: Batch) -> None:
    """Raise InputRefused unless the batch has a known size, and its slots ascend within its window."""
    if batch.size not in SIZES:
        raise InputRefused(f"a batch can't have the size {batch.size}", f"give one of {', '.join(map(str, SIZES))}")
    slots = [slot_of(operation, batch) for operation in batch.operations]
    if not slots or any(one >= two for one, two in pairwise(slots)):
        raise InputRefused("a batch needs operations in ascending slots", "plan the batch again")


def challenge(words: Sequence[int], c: int) -> int:
    """The point `r` at which the words are compressed: keccak over all of them and their commitment `c`."""
    data = b"".join(word.to_bytes(32, "big") for word in (*words, c))
    return int.from_bytes(keccak(data), "big") % FIELD


def evaluation(words: Sequence[int], r: int) -> int:
    """The words as the polynomial's value `e` at `r`."""
    value = 0
    for word in reversed(words):
        value = (value * r + word) % FIELD
    return value


def hex_word(value: int) -> str:
    """A word as it travels in JSON: 0x and 64 hex digits."""
    return f"0x{value:064x}"
