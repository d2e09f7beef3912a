"""`shale demo` as a user runs it: it ends well, its report adds up, and nothing of it stays on the machine."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.world import SHALE, Json, processes

KEYS = {
    "dataset": {"root", "piece", "claim", "sector", "proven_leaves"},
    "lease": {
        "order_to_shell_seconds",
        "ticks",
        "collateral_attofil",
        "paid_attofil",
        "paid_seconds",
        "end_reason",
    },
    "training": {"accuracy", "epochs"},
    "settlement": {
        "batch_size",
        "circuit_size",
        "leases",
        "constraints",
        "witness_seconds",
        "prove_seconds",
        "gas",
        "verify_gas",
        "tx",
        "provider_received_attofil",
        "client_refund_attofil",
        "batch_received_attofil",
        "batch_refund_attofil",
    },
    "exit": {
        "way",
        "collateral_attofil",
        "redeemed_attofil",
        "refund_attofil",
        "window_seconds",
        "rebuilt_leaves",
        "prove_seconds",
        "constraints",
        "gas",
        "tx",
    },
    "review": {"stars", "weight_seconds"},
}


@contextmanager
def own_folder() -> Iterator[Path]:
    """A short folder for the demo's temporary files: what is below it, or names it, is the demo's own."""
    with tempfile.TemporaryDirectory(prefix="d-") as name:
        yield Path(name)


def test_the_demo_ends_well_adds_up_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with own_folder() as folder:
        done = subprocess.run(
            [SHALE, "demo", "--report", str(path), "--epochs", "2"],
            env=os.environ | {"TMPDIR": str(folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
        assert list(folder.iterdir()) == []
        assert not processes(folder)
        assert not [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    check(json.loads(path.read_text()), done.stdout)


def check(report: Json, shown: str) -> None:
    """The report's shape, its sums, and that what was shown step by step is what stands in it."""
    assert report["ok"] is True
    assert set(report) == {"ok", "steps", *KEYS}
    for part, keys in KEYS.items():
        assert set(report[part]) == keys
    assert all(set(step) == {"name", "seconds", "detail"} and step["seconds"] > 0 for step in report["steps"])
    assert all(step["name"] in shown for step in report["steps"])
    lease, settlement = report["lease"], report["settlement"]
    received, refund = settlement["provider_received_attofil"], settlement["client_refund_attofil"]
    assert lease["collateral_attofil"] == received + refund
    assert received == lease["paid_attofil"] > 0
    assert lease["paid_seconds"] == lease["ticks"] > 0
    assert lease["paid_attofil"] % lease["paid_seconds"] == 0
    assert lease["end_reason"] == "client_ended"
    assert 0 < lease["order_to_shell_seconds"] < 60
    assert report["dataset"]["proven_leaves"] == 32
    assert report["dataset"]["piece"].startswith("baga6ea4seaq")
    assert report["training"]["epochs"] == 2
    assert report["training"]["accuracy"] > 0.5
    leases = settlement["leases"]
    assert settlement["batch_size"] == len(leases) >= 4
    assert settlement["circuit_size"] == 8
    assert len({item["lease_id"] for item in leases}) == len(leases)
    assert all(item["deposit_attofil"] == item["paid_attofil"] + item["refund_attofil"] for item in leases)
    assert all(item["paid_attofil"] > 0 for item in leases)
    assert settlement["batch_received_attofil"] == sum(item["paid_attofil"] for item in leases)
    assert settlement["batch_refund_attofil"] == sum(item["refund_attofil"] for item in leases)
    left = report["exit"]
    assert left["way"] == "proof"
    assert left["collateral_attofil"] == left["redeemed_attofil"] + left["refund_attofil"]
    assert left["redeemed_attofil"] > 0
    assert 23 * 3600 < left["window_seconds"] <= 24 * 3600
    assert left["rebuilt_leaves"] == 1
    assert settlement["constraints"] > 10_000
    assert 100_000 < settlement["verify_gas"] < 10_000_000
    assert settlement["tx"].startswith("0x")
    assert report["review"]["stars"] == 5
    assert 0 < report["review"]["weight_seconds"] <= lease["paid_seconds"]
