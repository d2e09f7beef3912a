"""Gas: EVM gas of each operation, as the forge tests keep it, and an estimate of what Filecoin's machine charges.

The model and where each of its figures comes from stand in docs/benchmarks.md, "Gas on Filecoin".
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from tests.benchmarks.frame import Row, row

SNAPSHOTS = Path(__file__).parents[2] / "contracts" / "snapshots"
MILLION = 1_000_000

# Filecoin's machine, by published receipts of Filecoin Pay on calibration; of a low and a high figure the estimate is
# the middle.
BASE = 3.06 * MILLION
"""A message into a contract: checked, actor and state loaded, state written back."""
CODE = 0.26 * MILLION
"""Each KB of a contract's code, each time it is called."""
CALL = (0.86 * MILLION, 2.1 * MILLION)
"""A call of another contract, besides its code."""
WRITE = (0.85 * MILLION, 1.81 * MILLION)
"""A place in storage that is written: a mapping's entry with the slots beside it."""
# Read in the source of the machine, measured before, or judged (the last two).
BYTE = 1_300
SIGNATURE = 1.64 * MILLION
PAIRING = 1_750 * MILLION
INPUT = 58 * MILLION
READ_SHARE = 0.5
"""A place that is only read, in parts of one that is written."""
COMPUTE = 170
"""Each EVM gas of what is left: plain opcodes, of three gas each, at some 500 of the machine's."""

FILECOIN_PAY = 166.6 * MILLION
"""The life of a rail: deposit, approval, createRail, both modifications, settlements, termination, withdrawal."""
MARKET, LEDGER, VERIFIER, REGISTRY = 15.8, 13.8, 7.0, 7.5
"""KB of code."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A transaction for `leases` leases of as many clients.

    `gas` is the EVM's for all of it without a proof's verification, `code` the KB of the contracts called, one after
    the other; `new`, `changed` and `seen` are slots, `writes` and `reads` places of storage.
    """

    name: str
    gas: int
    size: int
    code: tuple[float, ...]
    leases: int = 1
    new: int = 0
    changed: int = 0
    seen: int = 0
    writes: int = 0
    reads: int = 0
    events: int = 1
    signatures: int = 0
    proofs: int = 0
    transfers: int = 0

    def evm(self) -> int:
        """EVM gas of all of it, the verification included."""
        return self.gas + self.proofs * snapshot("Verifier", "verifyProof")

    def fvm(self, high: float = 0.5) -> float:
        """Filecoin gas of all of it; `high` from 0, the low figures, to 1, the high ones."""
        call, write = (low + high * (most - low) for low, most in (CALL, WRITE))
        compute = self.gas - 21_000 - 12 * self.size - 22_100 * self.new - 5_000 * self.changed - 2_100 * self.seen
        compute -= 2_000 * self.events + 3_000 * self.signatures + 9_000 * self.transfers
        return (
            BASE
            + CODE * sum(self.code)
            + call * (len(self.code) - 1 + self.transfers)
            + write * (self.writes + READ_SHARE * self.reads)
            + BYTE * self.size
            + SIGNATURE * self.signatures
            + self.proofs * (PAIRING + 3 * INPUT)
            + COMPUTE * max(compute, 0)
        )


def snapshot(group: str, name: str) -> int:
    return int(json.loads((SNAPSHOTS / f"{group}.json").read_text())[name])


def opening(count: int) -> Operation:
    """Leases opened at once: each a record of three slots, the client's balance and nonces, three signatures."""
    return Operation(
        f"openLeases of {count}", snapshot("Market", f"openLeases: {count}"), 100 + 1_380 * count, (MARKET, LEDGER),
        leases=count, new=3 * count, changed=2 * count + 1, writes=3 * count + 1, events=2 * count,
        signatures=3 * count,
    )  # fmt: skip


def settlement(count: int) -> Operation:
    """A batch in which each slot inserts, claims and closes: a record's last slot and a balance are written."""
    return Operation(
        f"settle of {count}", snapshot("Ledger", f"settle: {count} {'life' if count == 1 else 'lives'}"),
        650 + 118 * count, (LEDGER, VERIFIER), leases=count, changed=2 * count + 3, seen=2 * count,
        writes=2 * count + 1, events=2 * count + 1, proofs=1,
    )  # fmt: skip


def claims(count: int) -> Operation:
    """A batch that redeems more of leases that run on: only read are their records; roots and earnings are written."""
    return Operation(
        f"claim of {count} running", snapshot("Ledger", f"settle: {count} claim{'' if count == 1 else 's'}"),
        650 + 54 * count, (LEDGER, VERIFIER), leases=count, changed=3, seen=3 * count, writes=1, reads=count,
        events=count + 1, proofs=1,
    )  # fmt: skip


def by_transactions() -> list[Operation]:
    """An order that goes over the chain, without signatures, and a lease that ends there."""
    order, pair = Operation("", 0, 520, (MARKET,), writes=1), (MARKET, LEDGER)
    return [
        replace(order, name="createOrder", gas=snapshot("Market", "createOrder"), new=2, seen=1, writes=2),
        replace(order, name="acceptOrder", gas=snapshot("Market", "acceptOrder"), size=650, changed=1),
        Operation(
            "confirmOrder", snapshot("Market", "confirmOrder"), 650, pair, new=3, changed=3, seen=1, writes=4, events=3,
        ),
        replace(order, name="cancelOrder", gas=snapshot("Market", "cancelOrder"), changed=1, seen=1, reads=1),
        Operation("endLease", snapshot("Market", "endLease"), 68, pair, new=1, changed=1, seen=2, writes=2),
        Operation(
            "endLeaseSigned", snapshot("Market", "endLeaseSigned"), 360, pair, new=1, changed=1, seen=2, writes=2,
            signatures=1,
        ),
    ]  # fmt: skip


def of_the_registry() -> list[Operation]:
    """A question to a miner is two calls: of the power actor and of the miner, whose code and state are native."""
    plain = Operation("", 0, 324, (REGISTRY,), changed=4, seen=1, writes=4)
    asks = Operation("", 0, 68, (REGISTRY,), seen=3, writes=1, reads=2, transfers=2)
    return [
        replace(plain, name="register", gas=snapshot("Registry", "register"), changed=1, new=8, writes=9),
        replace(plain, name="update", gas=snapshot("Registry", "update")),
        replace(plain, name="retire", gas=snapshot("Registry", "retire"), size=36, changed=1, seen=0, writes=1),
        replace(asks, name="authorize", gas=snapshot("Registry", "authorize"), new=1),
        replace(asks, name="bindMiner", gas=snapshot("Registry", "bindMiner"), changed=1, new=1, writes=2, transfers=4),
        replace(asks, name="recheck", gas=snapshot("Registry", "recheck")),
        replace(asks, name="revoke", gas=snapshot("Registry", "revoke"), changed=3, writes=3, transfers=0),
    ]


def operations() -> list[Operation]:
    ledger = Operation("", 0, 68, (LEDGER,), changed=1, writes=1)
    return [
        replace(ledger, name="deposit", gas=snapshot("Ledger", "deposit, again")),
        replace(ledger, name="withdraw", gas=snapshot("Ledger", "withdraw"), transfers=1),
        opening(1),
        opening(40),
        *by_transactions(),
        Operation(
            "topUp", snapshot("Market", "topUp"), 610, (MARKET, LEDGER), changed=4, seen=2, writes=3, reads=1, events=2,
        ),
        settlement(1),
        settlement(64),
        settlement(256),
        claims(1),
        claims(64),
        Operation("refund of 1", snapshot("Ledger", "refund: 1"), 132, (LEDGER,), changed=3, seen=2, writes=3),
        Operation("demandClose", snapshot("Ledger", "demandClose"), 36, (LEDGER,), new=2, seen=4, writes=2, reads=1),
        Operation(
            "exit of 1", snapshot("Ledger", "settle: exit of 1"), 704, (LEDGER, VERIFIER), changed=5, seen=4, writes=3,
            reads=1, events=3, proofs=1,
        ),
        Operation(
            "collect", snapshot("Ledger", "collect"), 36, (LEDGER, REGISTRY), changed=1, seen=1, writes=1, reads=1,
            transfers=1,
        ),
        Operation("review", snapshot("Market", "review"), 740, (MARKET, LEDGER), new=3, seen=3, writes=2, reads=1),
        Operation(
            "reviewSigned", snapshot("Market", "reviewSigned"), 970, (MARKET, LEDGER), new=3, seen=3, writes=2, reads=1,
            signatures=1,
        ),
        *of_the_registry(),
    ]  # fmt: skip


def life(batch: int, own: bool, high: float = 0.5, alone: bool = False) -> float:
    """Filecoin gas of one lease, opened among forty and settled once, at its end, in a batch of that size.

    `own`: with a deposit and a withdrawal for this lease alone, as in the life of a rail. `alone`: opened by itself, as
    always for a batch of one.
    """
    shared = {item.name: item for item in operations()}
    names = ["openLeases of 1" if alone or batch == 1 else "openLeases of 40", f"settle of {batch}"]
    total = sum(shared[name].fvm(high) / shared[name].leases for name in names)
    total += shared["collect"].fvm(high) / batch
    return total + (shared["deposit"].fvm(high) + shared["withdraw"].fvm(high) if own else 0)


def rows() -> list[Row]:
    found = []
    for item in operations():
        found.append(row(f"{item.name}, EVM", item.evm() / item.leases, "gas a lease"))
        found.append(row(f"{item.name}, FVM estimate", item.fvm() / item.leases / MILLION, "M gas a lease"))
    for batch in (1, 64, 256):
        for own in (False, True):
            for alone in (True,) if batch == 1 else (False, True):
                words = ", opened alone" if alone else ", opened among 40"
                words += ", its own deposit and withdrawal" if own else ""
                # The goal is for leases that share their opening.
                goal = FILECOIN_PAY / 4 / MILLION if batch == 256 and not alone else None
                spread = " to ".join(f"{life(batch, own, high, alone) / MILLION:.0f}" for high in (0, 1))
                found.append(
                    row(
                        f"a lease's life at {batch}{words} ({spread})",
                        life(batch, own, alone=alone) / MILLION, "M gas",
                        peer="a rail of Filecoin Pay", peer_value=FILECOIN_PAY / MILLION, at_most=goal,
                    )
                )  # fmt: skip
    return found
