"""End: finish a lease; what was paid stays paid, the rest of the collateral comes back at settlement."""

from __future__ import annotations

from pathlib import Path

import click

from shale.client.cli.context import Context, json_option, password_option, run_async
from shale.client.cli.output import emit, waiting

_WAYS = {
    "agent": "",
    "provider": "",
    "chain": "The provider doesn't answer properly: your End stands on the chain, the collateral can be freed in 24 h.",
    "books": "The provider doesn't run it.",
}


@click.command()
@click.argument("name")
@password_option
@json_option
def command(name: str, password_file: Path | None, as_json: bool) -> None:
    """End the lease NAME. Its container, with all that is in it, is removed: copy what you need first."""
    from shale.client import wallet
    from shale.client.agent import link
    from shale.client.cli.up import lease_json
    from shale.client.ending import Ending, refund
    from shale.client.store import Store
    from shale.client.wiring import chain_of, network_of, signing_of
    from shale.clock import SystemClock
    from shale.errors import Closed
    from shale.market.lease import EndReason

    context = Context()
    store = Store(context.home)
    try:
        rental = store.rental(name)
        if rental.ended and rental.end_reason is not EndReason.START_FAILED:
            raise Closed(f"the lease {name} has ended already ({rental.end_reason.text})", "see shale ps --all")
        network = network_of(context.home, rental.network)
        account = wallet.open_wallet(context.home, context.password(password_file))
        ending = Ending(
            home=context.home,
            account=account,
            signing=signing_of(network),
            store=store,
            clock=SystemClock(),
            ask_agent=link.end,
            chain=lambda: chain_of(network, account),
        )
        with waiting("ending: a provider that doesn't answer is waited for half a minute"):
            ended, way = run_async(lambda: ending.end(rental))
    finally:
        store.close()
    if as_json:
        emit(lease_json(ended) | {"way": way, "refund_attofil": str(refund(ended).value)})
        return
    click.echo(f"{name} has ended ({ended.end_reason.text}): paid {ended.paid} for {ended.seconds} s")
    if _WAYS[way]:
        click.echo(_WAYS[way])
    if way != "books":
        click.echo(f"{refund(ended)} of the collateral come back to your ledger balance when the provider settles.")
