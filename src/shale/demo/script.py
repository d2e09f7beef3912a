"""Script: the demo's acts, in order; each figure in the report is read from what really happened."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import shale
from shale.chain.lotus import EPOCH_SECONDS
from shale.chain.lotus_desk import GENESIS
from shale.clock import SystemClock
from shale.demo.exit import leave_a_dead_provider
from shale.demo.ledger import ChainView
from shale.demo.report import Report
from shale.demo.settle import PAYOUT, lease_company, settle
from shale.demo.stage import Stage
from shale.errors import ConfigError, Refused, Unavailable
from shale.units import AttoFil, format_bytes

_MINER, _SECTOR, _CLAIM = 1000, 1, 5432
_SAMPLE = 32
_PRIMES = "664579 primes below 10000000"


def play(stage: Stage, report: Report, image: str, epochs: int) -> None:
    """The whole way of a lease. Raises a ShaleError at the first thing that isn't as it should be."""
    with report.step("a chain with Filecoin's devnet id, and Shale's contracts on it") as step:
        stage.provider("chain", "up", "--port", str(stage.rpc_port))
        deployed = stage.provider("chain", "deploy")
        stage.share_network()
        step.detail = f"market {deployed['market']}"
    view = ChainView(stage.provider_home)
    with report.step("pack 1797 handwritten digits as a piece, and lay it into an unsealed sector") as step:
        packed = _pack(stage)
        root = str(packed["root"])
        step.detail = f"root {root}, piece {packed['piece_cid']}"
    provider = _raise_provider(stage, report, image, packed)
    client = _fund_client(stage, report)
    _find(stage, report, root)
    lease = _lease(stage, report, root, image)
    company = lease_company(stage, report, image)
    _prove_dataset(stage, report, lease["name"], packed)
    _train(stage, report, lease["name"], epochs)
    _build(stage, report, lease["name"])
    settle(stage, report, view, lease, company, provider, client)
    with report.step("review the provider") as step:
        stage.client("review", lease["name"], "--stars", "5", "--comment", "the digits were where it said")
        standing = view.standing(provider)
        if standing.reviews != 1:
            raise Refused(f"the chain shows {standing.reviews} reviews instead of one")
        if not standing.weight_seconds:
            raise Refused("the review has no weight: no second was proven")
        stars = standing.weighted_stars // standing.weight_seconds
        report.review = {"stars": stars, "weight_seconds": standing.weight_seconds}
        step.detail = f"{stars} stars, weighted by {standing.weight_seconds} proven seconds"
    leave_a_dead_provider(stage, report, view, image, client)


def examples() -> Path:
    """The examples of the source tree that this package is installed from."""
    folder = Path(shale.__file__).parents[2] / "examples"
    if not folder.is_dir():
        raise ConfigError("the demo needs the source tree's examples", "run it from a checkout with make demo")
    return folder


def _pack(stage: Stage) -> dict[str, Any]:
    """The dataset as a sealing provider keeps it: a piece in the unsealed copy of a sector."""
    digits, car = stage.folder / "digits", stage.folder / "digits.car"
    subprocess.run([sys.executable, str(examples() / "make_digits.py"), str(digits)], check=True, timeout=120)
    packed: dict[str, Any] = stage.provider("piece", "pack", str(digits), str(car))
    unsealed = stage.folder / "unsealed"
    unsealed.mkdir()
    sector = unsealed / f"s-t0{_MINER}-{_SECTOR}"
    stage.provider("piece", "pad", str(car), str(sector), "--sector-size", "8MiB", "--at", str(packed["padded_size"]))
    return packed


def _claims(stage: Stage, packed: dict[str, Any]) -> Path:
    """What the chain would say of that sector, in the shape of Lotus's StateGetClaims."""
    started = (SystemClock().now() - GENESIS) // EPOCH_SECONDS - 2880
    claim = {
        "Provider": _MINER,
        "Client": 1001,
        "Data": {"/": packed["piece_cid"]},
        "Size": packed["padded_size"],
        "TermMin": 518400,
        "TermMax": 1555200,
        "TermStart": started,
        "Sector": _SECTOR,
    }
    path = stage.folder / "claims.json"
    path.write_text(json.dumps({str(_CLAIM): claim}))
    return path


def _raise_provider(stage: Stage, report: Report, image: str, packed: dict[str, Any]) -> str:
    with report.step("a provider: key, settings, stock; its daemon as a process of its own") as step:
        lotus = stage.raise_lotus(_claims(stage, packed))
        made = stage.provider(
            "provider", "init", "--name", "demo-provider", "--port", str(stage.api_port),
            "--gateway-port", str(stage.gateway_port), "--image", image, "--tick", "1s", "--payout", PAYOUT,
            "--volume-driver", stage.volume_driver, "--lotus", lotus, "--miner", f"f0{_MINER}",
        )  # fmt: skip
        stage.provider("chain", "fund", made["operator"], "100 FIL")
        stage.raise_provider()
        step.detail = str(made["operator"])
    with report.step("offer what its unsealed sectors hold, joined with the chain's verified claims") as step:
        raw = stage.provider("provider", "datasets", "add", str(stage.folder / "unsealed"), "--name", "digits")
        [added] = raw["added"]
        [piece] = added["pieces"]
        if added["root"] != packed["root"] or (piece["claim"], piece["sector"]) != (_CLAIM, _SECTOR):
            raise Refused(f"the sector's dataset was not found as it was packed: {added}")
        report.dataset = {"root": added["root"], "piece": piece["piece"], "claim": _CLAIM, "sector": _SECTOR}
        step.detail = f"{added['files']} files, piece in sector {_SECTOR}, claim {_CLAIM}"
    return str(made["operator"])


def _fund_client(stage: Stage, report: Report) -> str:
    with report.step("a client: wallet, 10 FIL from the desk's chain") as step:
        wallet = stage.client("wallet", "new")
        stage.provider("chain", "fund", wallet["address"], "10 FIL")
        step.detail = str(wallet["address"])
    return str(wallet["address"])


def _find(stage: Stage, report: Report, root: str) -> None:
    with report.step("find providers that hold the dataset") as step:
        offers = stage.client("ls", "--dataset", root)
        found = offers["providers"] if isinstance(offers, dict) else offers
        if len(found) != 1:
            raise Refused(f"{len(found)} providers hold the dataset instead of one")
        step.detail = f"{len(found)} provider"


def _lease(stage: Stage, report: Report, root: str, image: str) -> dict[str, Any]:
    with report.step("order, acceptance, confirmation with collateral; container up; shell answers") as step:
        lease: dict[str, Any] = stage.client(
            "up", "--dataset", f"{root}:/data", "--cpus", "1", "--memory", "2Gi", "--max", "30m",
            "--image", image, "--name", "demo", "-y",
        )  # fmt: skip
        began = time.monotonic()
        shell = stage.ssh("ssh", f"shale-{lease['name']}", "uname -n && ls /data | head -3")
        if shell.returncode != 0:
            raise Unavailable(f"ssh shale-{lease['name']} failed ({shell.stderr.strip()[-200:]})")
        # From the signed order's sending to the payer's adoption, and from there to the shell's first answer.
        seconds = lease["order_to_shell_seconds"] + time.monotonic() - began
        report.lease["order_to_shell_seconds"] = round(seconds, 3)
        report.say(f"$ ssh shale-{lease['name']} 'uname -n && ls /data | head -3'")
        for line in shell.stdout.splitlines():
            report.say(line)
        step.detail = f"shell after {seconds:.2f} s"
    return lease


def _prove_dataset(stage: Stage, report: Report, name: str, packed: dict[str, Any]) -> None:
    with report.step("prove from the client's side that the dataset is what was ordered") as step:
        mounted = stage.ssh("ssh", f"shale-{name}", "grep ' /data ' /proc/mounts").stdout.strip()
        report.say(f"$ ssh shale-{name} \"grep ' /data ' /proc/mounts\"")
        report.say(mounted)
        if packed["root"] not in mounted or " fuse.shale ro" not in mounted:
            raise Refused(f"the dataset is not mounted as it should be: {mounted!r}")
        proven = stage.client("verify", name, "--sample", str(_SAMPLE))
        if not proven["ok"] or proven["leaves"] != _SAMPLE or proven["piece"] != packed["piece_cid"]:
            raise Refused(f"the dataset was not proven: {proven}")
        report.dataset["proven_leaves"] = proven["leaves"]
        step.detail = f"{proven['leaves']} random leaves up to the root, the root up to the piece"


def _train(stage: Stage, report: Report, name: str, epochs: int) -> None:
    with report.step("train a model on the mounted dataset, while payments tick") as step:
        copied = stage.ssh("scp", "-q", str(examples() / "train_digits.py"), f"shale-{name}:/root/")
        if copied.returncode != 0:
            raise Unavailable(f"scp to the lease failed ({copied.stderr.strip()[-200:]})")
        last = ""
        for last in stage.ssh_lines(name, f"python3 train_digits.py /data model.pt {epochs}"):
            report.say(last)
        result = json.loads(last)
        seen = _watched(stage, name)
        report.say(f"$ shale watch {name} --once")
        report.say(
            f"{AttoFil(int(seen['paid_attofil']))} paid in {seen['tick']} ticks, "
            f"{seen['cpu_millis'] / 1000:.2f} cores, {format_bytes(seen['memory_bytes'])}, tunnel "
            + ("up" if seen["connected"] else "down")
        )
        model = stage.folder / "model.pt"
        copied = stage.ssh("scp", "-q", f"shale-{name}:model.pt", str(model))
        if copied.returncode != 0 or model.stat().st_size == 0:
            raise Unavailable(f"scp from the lease failed ({copied.stderr.strip()[-200:]})")
        report.training = {"accuracy": result["accuracy"], "epochs": result["epochs"]}
        step.detail = f"accuracy {result['accuracy']}, model of {model.stat().st_size} bytes copied back"


def _build(stage: Stage, report: Report, name: str) -> None:
    with report.step("compile and run a C program in the container") as step:
        stage.ssh("scp", "-q", str(examples() / "primes.c"), f"shale-{name}:/root/")
        lines = list(stage.ssh_lines(name, "cc -O2 -o primes primes.c && ./primes 10000000"))
        if lines != [_PRIMES]:
            raise Refused(f"the C program said {lines!r}")
        verdict = _watched(stage, name)["verdict"] or {}
        step.detail = f"{lines[0]}; probe {verdict.get('probe', 'none')}: {verdict.get('status', 'no verdict')}"


def _watched(stage: Stage, name: str) -> dict[str, Any]:
    """What `shale watch` shows of the lease now."""
    [seen] = stage.client("watch", name, "--once")["leases"]
    return dict(seen)
