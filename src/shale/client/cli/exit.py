"""Exit: close a silent provider's lease yourself, and get the deposit back."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shale.client.cli.context import Context, json_option, password_option, run_async
from shale.client.cli.output import emit
from shale.client.cli.progress import Progress
from shale.units import format_duration

if TYPE_CHECKING:
    from shale.client.exiting import Exited

_WORDS = {
    "nothing": "it never got to the chain: nothing of yours is locked for it",
    "closed": "it is closed on the chain already, by its provider or by a try before this one",
    "refund": "nothing was redeemed of it: refunded without a proof",
    "proof": "closed by a proof of your own",
}


@click.command()
@click.argument("name")
@click.option("--wait", is_flag=True, help="Stay until the lease can be closed.")
@password_option
@json_option
def command(name: str, wait: bool, password_file: Path | None, as_json: bool) -> None:
    """Close the ended lease NAME without its provider, which may be gone for good.

    Your End on the chain opens a window of 24 hours in which the provider may still redeem. After it: a refund if
    nothing was redeemed, else the close is demanded on the chain, and your machine proves it on the provider's tree
    of that moment: wherever the provider moves it meanwhile.
    """
    from shale.client import wallet
    from shale.client.exiting import Exiting
    from shale.client.store import Store
    from shale.client.wiring import chain_of, network_of, prover_of, signing_of
    from shale.clock import SystemClock

    context = Context()
    store = Store(context.home)
    try:
        rental = store.rental(name)
        network = network_of(context.home, rental.network)
        account = wallet.open_wallet(context.home, context.password(password_file))

        async def leave() -> Exited:
            async with chain_of(network, account) as chain, prover_of() as prover:
                exiting = Exiting(chain, prover, account, signing_of(network), store, SystemClock())
                with Progress(quiet=as_json) as progress:
                    return await exiting.exit(rental, progress.report, wait=wait)

        done = run_async(leave)
    finally:
        store.close()
    if as_json:
        emit(exited_json(done))
        return
    if done.way.value == "waiting":
        at = datetime.fromtimestamp(done.can_act_at)
        click.echo(f"{name} can be closed in {format_duration(done.seconds_left)}, from {at:%Y-%m-%d %H:%M:%S} on:")
        click.echo(f"until then its provider may still redeem what you signed. Then: shale exit {name}")
        return
    click.echo(f"{name}: {_WORDS[done.way.value]}")
    if done.back is not None:
        click.echo(f"{done.back} of {done.rental.collateral} came back to your ledger balance")


def exited_json(done: Exited) -> dict[str, Any]:
    """What came of it, for programs."""
    return {
        "name": done.rental.name,
        "lease_id": done.rental.id,
        "way": done.way.value,
        "can_act_at": done.can_act_at or None,
        "seconds_left": done.seconds_left,
        "refund_attofil": None if done.back is None else str(done.back.value),
        "tx": done.receipt.tx if done.receipt else None,
        "gas": done.receipt.gas if done.receipt else None,
        "prove_seconds": round(done.proof.prove_seconds, 3) if done.proof else None,
        "constraints": done.proof.constraints if done.proof else None,
        "rebuilt_leaves": done.leaves,
        "demanded_root": done.proof.old_root if done.proof else None,
    }
