"""Words: a batch as the field elements of circuit and contract (docs/protocol.md, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

from eth_utils.crypto import keccak

from shale.payments.batch import Operation

BATCH_SIZE = 8
FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""The order p of bn254's scalar field: every word is below it."""

INSERT, CLAIM, CLOSE = 1, 2, 4


def flags_of(operation: Operation) -> int:
    """The operation's flags as circuit and contract take them."""
    claim = CLAIM if operation.voucher is not None else 0
    return INSERT * operation.insert + claim + CLOSE * operation.close


def batch_words(domain: int, old_root: int, new_root: int, operations: Sequence[Operation]) -> list[int]:
    """The batch data `m`: three words, then five for each operation, padded with zeros."""
    words = [domain, old_root, new_root]
    for operation in operations:
        leaf = operation.leaf
        shape = leaf.index | flags_of(operation) << 32 | operation.seconds << 40 | leaf.deposit.value << 104
        words += [
            int(leaf.lease, 16),
            shape,
            operation.amount.value | leaf.amount.value << 96,
            int(leaf.key.x, 16) if operation.insert else 0,
            int(leaf.key.y, 16) if operation.insert else 0,
        ]
    return words + [0] * (5 * (BATCH_SIZE - len(operations)))


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
