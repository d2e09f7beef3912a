"""Exit: the demo's act in which a provider dies, and its client gets the deposit back without it."""

from __future__ import annotations

from shale.demo.ledger import ChainView
from shale.demo.report import Report
from shale.demo.settle import PAYOUT, SMALL
from shale.demo.stage import Stage
from shale.errors import Refused
from shale.units import AttoFil

_DAY = 24 * 3600 + 60
_NAME = "demo-exit"


def leave_a_dead_provider(stage: Stage, report: Report, view: ChainView, image: str, client: str) -> None:
    """A lease that was redeemed once while it ran; its daemon is killed, the window passes, the client proves."""
    with report.step("one more lease; the provider redeems what is paid so far, and is killed with -9") as step:
        lease = stage.client("up", "--name", _NAME, *SMALL, "--image", image, "-y")
        before = view.balances(PAYOUT, client)
        [batch] = stage.provider("provider", "settle", "--now", timeout=900)
        if batch["leases"] != [lease["lease_id"]]:
            raise Refused(f"the running lease was not redeemed: {batch}")
        redeemed = view.balances(PAYOUT, client).payout - before.payout
        stage.kill_provider()
        step.detail = f"{AttoFil(redeemed)} redeemed"
    with report.step("the client's End goes to the chain; 24 hours pass there") as step:
        ended = stage.client("end", _NAME)
        if ended["way"] != "chain":
            raise Refused(f"the End went the way of {ended['way']} instead of the chain")
        waiting = stage.client("exit", _NAME)
        if waiting["way"] != "waiting":
            raise Refused(f"the lease could be closed before its window passed: {waiting}")
        view.pass_time(_DAY)
        step.detail = f"it could not be closed for {waiting['seconds_left']} s"
    with report.step("rebuild the provider's tree from the chain, prove the close on the client's machine") as step:
        done = stage.client("exit", _NAME, timeout=900)
        record, after = view.lease(lease["lease_id"]), view.balances(PAYOUT, client)
        refund = after.client - before.client
        if done["way"] != "proof" or not record.closed or refund != int(done["refund_attofil"]):
            raise Refused(f"the exit did not go as it should: {done}")
        if record.deposit.value != redeemed + refund or view.held_by_ledger() != after.client:
            raise Refused(f"the money does not add up: {record.deposit} locked, {redeemed} redeemed, {refund} back")
        report.exit = {
            "way": done["way"],
            "collateral_attofil": record.deposit.value,
            "redeemed_attofil": redeemed,
            "refund_attofil": refund,
            "window_seconds": waiting["seconds_left"],
            "rebuilt_leaves": done["rebuilt_leaves"],
            "prove_seconds": done["prove_seconds"],
            "constraints": done["constraints"],
            "gas": done["gas"],
            "tx": done["tx"],
        }
        step.detail = f"{AttoFil(refund)} are back, {done['prove_seconds']:.2f} s to prove"
    with report.step("the provider starts again: it takes up its leases, and its books follow the chain") as step:
        stage.raise_provider()
        settled = stage.provider("provider", "settle", "--now", timeout=900)
        [held] = [
            item for item in stage.provider("provider", "status")["leases"] if item["lease_id"] == lease["lease_id"]
        ]
        if settled or held["state"] != "settled":
            raise Refused(f"the provider's books did not follow the chain: {held}")
        step.detail = "nothing is left to settle"
