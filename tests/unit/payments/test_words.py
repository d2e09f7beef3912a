"""A batch's words are those of the circuit and the contract (golden vectors)."""

import json
from pathlib import Path
from typing import Any

import pytest

from shale.market.order import PayKey
from shale.payments.batch import Leaf, Operation
from shale.payments.voucher import Voucher
from shale.payments.words import batch_words, challenge, evaluation, flags_of
from shale.units import ZERO, AttoFil, LeaseId

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "ledger.json").read_bytes())


def operations(batch: dict[str, Any]) -> list[Operation]:
    """The batch as it came to the prover: what an operation starts from stands in the leaves, or in an earlier one."""
    standing = {leaf["lease_id"]: (AttoFil(int(leaf["amount"])), leaf["seconds"]) for leaf in batch["leaves"]}
    made = []
    for raw in batch["operations"]:
        lease = LeaseId(raw["lease_id"])
        amount, seconds = standing.get(lease, (ZERO, 0))
        key, deposit = PayKey(raw["x"], raw["y"]), AttoFil(int(raw["deposit"]))
        leaf = Leaf(raw["index"], lease, key, deposit, amount, seconds)
        total = AttoFil(int(raw["amount"]))
        voucher = Voucher(lease, total, raw["seconds"], raw["signature"]) if raw["claim"] else None
        made.append(Operation(leaf, raw["insert"], raw["close"], voucher))
        standing[lease] = (total, raw["seconds"])
    return made


@pytest.mark.parametrize("batch", VECTORS["batches"], ids=lambda batch: batch["name"])
def test_a_batch_has_the_words_of_the_circuit(batch: dict[str, Any]) -> None:
    roots = (int(batch["old_root"], 16), int(batch["new_root"], 16))
    words = batch_words(int(VECTORS["domain"], 16), *roots, operations(batch))
    assert [hex(word) for word in words] == [hex(int(word, 16)) for word in batch["words"]]
    r = challenge(words, int(batch["c"], 16))
    assert r == int(batch["r"], 16)
    assert evaluation(words, r) == int(batch["e"], 16)


def test_flags_are_bits() -> None:
    leaf = Leaf(0, LeaseId("0x" + "01" * 31), PayKey("0x0", "0x1"), AttoFil(9))
    voucher = Voucher(leaf.lease, AttoFil(1), 1, "0x")
    assert flags_of(Operation(leaf, True, False, None)) == 1
    assert flags_of(Operation(leaf, False, False, voucher)) == 2
    assert flags_of(Operation(leaf, False, True, None)) == 4
    assert flags_of(Operation(leaf, True, True, voucher)) == 7
