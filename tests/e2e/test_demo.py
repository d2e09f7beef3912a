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
        "constraints",
        "prove_seconds",
        "verify_gas",
        "tx",
        "provider_received_attofil",
        "client_refund_attofil",
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
    assert settlement["batch_size"] >= 1
    assert settlement["constraints"] > 10_000
    assert 100_000 < settlement["verify_gas"] < 10_000_000
    assert settlement["tx"].startswith("0x")
    assert report["review"] == {"stars": 5, "weight_seconds": lease["paid_seconds"]}
