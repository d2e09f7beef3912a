"""The plain model of the ledger comes to what the kernel's golden vectors have, and refuses what breaks a rule."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import ledger_model as model
from tests.ledger_model import CLAIM, CLOSE, INSERT, Broken, Slot

FOLDER = Path(__file__).parents[2] / "vectors"
LEDGER: dict[str, Any] = json.loads((FOLDER / "ledger.json").read_bytes())
VOUCHERS: dict[str, Any] = json.loads((FOLDER / "voucher.json").read_bytes())
DOMAIN = int(LEDGER["domain"], 16)


def number(text: str) -> int:
    return int(text, 16)


def key_of(raw: dict[str, Any]) -> model.Point:
    return number(raw["x"]), number(raw["y"])


def leaves_of(batch: dict[str, Any]) -> dict[int, int]:
    return {
        leaf["index"]: model.leaf_hash(number(leaf["lease_id"]), key_of(leaf), int(leaf["amount"]), leaf["seconds"])
        for leaf in batch["leaves"]
    }


def slot_of(raw: dict[str, Any]) -> Slot:
    flags = INSERT * raw["insert"] | CLAIM * raw["claim"] | CLOSE * raw["close"]
    moved = (int(raw["amount"]), raw["seconds"], int(raw["prev_amount"]), raw["prev_seconds"])
    signature = bytes.fromhex((raw["signature"] or "0x")[2:])
    return Slot(raw["index"], flags, number(raw["lease_id"]), key_of(raw), *moved, signature)


def test_hashes_are_those_of_the_kernel() -> None:
    for vector in VOUCHERS["hashes"]:
        assert model.p2(*map(number, vector["words"])) == number(vector["hash"])
    for vector in VOUCHERS["compress"]:
        assert model.compress(*map(number, vector["words"])) == number(vector["hash"])
    assert model.empty(model.DEPTH) == number(LEDGER["empty_root"])


@pytest.mark.parametrize("vector", VOUCHERS["vouchers"], ids=lambda vector: vector["name"])
def test_vouchers_hold_where_the_kernel_says_so(vector: dict[str, Any]) -> None:
    values = (number(vector["lease_id"]), key_of(vector), int(vector["amount"]), vector["seconds"])
    domain = number(vector["domain"])
    assert model.leaf_hash(*values) == number(vector["leaf"])
    assert model.compress(domain, model.leaf_hash(*values)) == number(vector["message"])
    assert model.is_signed(domain, *values, bytes.fromhex(vector["signature"][2:])) == vector["valid"]


@pytest.mark.parametrize("batch", LEDGER["batches"], ids=lambda batch: batch["name"])
def test_batches_come_to_the_same_words_and_inputs(batch: dict[str, Any]) -> None:
    leaves = leaves_of(batch)
    assert [model.p2(value) for value in leaves.values()] == [number(leaf["hash"]) for leaf in batch["leaves"]]
    moved = model.apply(DOMAIN, batch["size"], batch["window"], leaves, [slot_of(raw) for raw in batch["operations"]])
    assert [hex(word) for word in moved.words] == [hex(number(word)) for word in batch["words"]]
    assert (moved.old_root, moved.new_root) == (number(batch["old_root"]), number(batch["new_root"]))
    assert (moved.earned, moved.c, moved.r, moved.e) == (
        int(batch["earned"]), number(batch["c"]), number(batch["r"]), number(batch["e"]),
    )  # fmt: skip


def test_domain_and_keys_hash_are_those_of_the_verifying_keys() -> None:
    raw = [bytes.fromhex(key["verifying_key"][2:]) for key in LEDGER["keys"]]
    keys = model.keys_hash(raw, unsafe_development=LEDGER["unsafe_development"])
    assert keys != model.keys_hash(raw, unsafe_development=not LEDGER["unsafe_development"])
    assert "0x" + keys.hex() == LEDGER["keys_hash"]
    assert model.domain_of(LEDGER["chain_id"], number(LEDGER["ledger"]), keys) == DOMAIN


def test_what_breaks_a_rule_is_refused() -> None:
    batch = LEDGER["batches"][3]
    leaves, [claimed_closed, closed, claimed, *_] = leaves_of(batch), [slot_of(raw) for raw in batch["operations"]]
    wrong = {
        "a touched slot": replace(closed, flags=0),
        "the lease id has": replace(closed, lease=closed.lease + 2**248),
        "does not fall": replace(claimed, amount=claimed.prev_amount - 1),
        "do not fall": replace(claimed, seconds=claimed.prev_seconds - 1),
        "an insert finds": replace(closed, flags=INSERT),
        "the leaf is there": replace(claimed, prev_amount=claimed.prev_amount - 1),
        "a claim is signed": replace(claimed, amount=claimed.amount + 1),
        "nothing moves": replace(closed, amount=closed.amount + 1),
        "in the window": replace(closed, index=64),
        "one operation": replace(closed, index=claimed_closed.index),
    }
    for rule, slot in wrong.items():
        with pytest.raises(Broken, match=rule):
            model.apply(DOMAIN, 64, 0, leaves, [claimed_closed, slot])
