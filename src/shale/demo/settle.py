"""Settle: the demo's act with the money: several leases of one provider, redeemed by one proof."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shale.demo.ledger import ChainView
from shale.demo.report import Report
from shale.demo.stage import Stage
from shale.errors import Refused
from shale.units import AttoFil

PAYOUT = "0x000000000000000000000000000000000000dEaD"
_COMPANY = ("demo-two", "demo-three", "demo-four")
SMALL = ("--cpus", "0.1", "--memory", "64Mi", "--max", "20m")


def lease_company(stage: Stage, report: Report, image: str) -> list[dict[str, Any]]:
    """Three small leases beside the first, started at the same time: they pay by the tick, too."""
    with report.step("three more leases at the same provider, for one proof to redeem them all") as step:

        def rent(name: str) -> dict[str, Any]:
            return dict(stage.client("up", "--name", name, *SMALL, "--image", image, "-y"))

        with ThreadPoolExecutor(len(_COMPANY)) as pool:
            leases = list(pool.map(rent, _COMPANY))
        step.detail = ", ".join(lease["name"] for lease in leases)
    return leases


def settle(
    stage: Stage,
    report: Report,
    view: ChainView,
    lease: dict[str, Any],
    company: list[dict[str, Any]],
    provider: str,
    client: str,
) -> None:
    """End all of them, redeem them by one proof, and check the money by the balances that the chain has."""
    leases = [lease, *company]
    with report.step("the client ends the leases; both sides sign the final states") as step:
        with ThreadPoolExecutor(len(leases)) as pool:
            list(pool.map(lambda item: stage.client("end", item["name"]), leases))
        status = {item["lease_id"]: item for item in stage.provider("provider", "status")["leases"]}
        held = status[lease["lease_id"]]
        report.lease.update(
            paid_attofil=int(held["paid_attofil"]), paid_seconds=held["seconds"], end_reason=held["end_reason"]
        )
        step.detail = f"{held['end_reason']} after {held['seconds']} paid seconds: {AttoFil(int(held['paid_attofil']))}"
    with report.step("prove the vouchers of all, post one batch, collect and refund") as step:
        before, held_before = view.balances(PAYOUT, client), view.held_by_ledger()
        batches = stage.provider("provider", "settle", "--now", timeout=900)
        if len(batches) != 1 or sorted(batches[0]["leases"]) != sorted(item["lease_id"] for item in leases):
            raise Refused(f"one batch of {len(leases)} leases was to be posted, not {json.dumps(batches)[:500]}")
        [batch], after = batches, view.balances(PAYOUT, client)
        records = [view.lease(item["lease_id"]) for item in leases]
        if not all(record.closed for record in records):
            raise Refused("the chain does not show the leases closed")
        deposits = sum(record.deposit.value for record in records)
        # Solvency: the contract holds the locked deposits and the clients' free balances, then only the latter.
        if held_before != before.client + deposits or view.held_by_ledger() != after.client:
            raise Refused("the ledger's contract holds other money than what it owes")
        report.lease["collateral_attofil"] = records[0].deposit.value
        report.lease["ticks"] = records[0].seconds // lease["tick_seconds"]
        report.settlement = {
            "batch_size": batch["operations"],
            "circuit_size": batch["size"],
            "leases": [
                {
                    "lease_id": item["lease_id"],
                    "deposit_attofil": record.deposit.value,
                    "paid_attofil": record.paid.value,
                    "refund_attofil": record.deposit.value - record.paid.value,
                    "seconds": record.seconds,
                }
                for item, record in zip(leases, records, strict=True)
            ],
            "constraints": batch["constraints"],
            "witness_seconds": batch["witness_seconds"],
            "prove_seconds": batch["prove_seconds"],
            "gas": batch["gas"],
            "verify_gas": view.verify_gas(batch["tx"]),
            "tx": batch["tx"],
            "provider_received_attofil": records[0].paid.value,
            "client_refund_attofil": records[0].deposit.value - records[0].paid.value,
            "batch_received_attofil": after.payout - before.payout,
            "batch_refund_attofil": after.client - before.client,
        }
        report.check_money()
        step.detail = (
            f"{len(leases)} leases by one proof: received {AttoFil(report.settlement['batch_received_attofil'])}, "
            f"refunded {AttoFil(report.settlement['batch_refund_attofil'])}"
        )
