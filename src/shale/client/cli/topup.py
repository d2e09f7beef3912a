"""Topup: more time and money for a running lease, without a pause."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shale.client.cli.context import Context, again_option, confirm, json_option, password_option, run_async
from shale.client.cli.output import console, emit, fil
from shale.client.cli.progress import Progress
from shale.errors import InputRefused
from shale.units import AttoFil, format_duration, parse_duration

if TYPE_CHECKING:
    from shale.client.rental import Rental
    from shale.client.topping import TopUp


@click.command()
@click.argument("name")
@click.option("--hours", metavar="H", help="So many hours more; also a duration: 30m, 2d.")
@click.option("--amount", metavar="FIL", help='The time that so much buys, such as "0.01 FIL".')
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@again_option
@password_option
@json_option
def command(
    name: str,
    hours: str | None,
    amount: str | None,
    yes: bool,
    again: bool,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Raise the deposit and the time of the running lease NAME. What is not spent comes back, as ever."""
    from shale.client import wallet
    from shale.client.agent import link
    from shale.client.cli.up import lease_json
    from shale.client.leasing import Leasing
    from shale.client.store import Store
    from shale.client.topping import Topping
    from shale.client.wiring import chain_of, network_of, prover_of, signing_of
    from shale.clock import SystemClock

    if (hours is None) == (amount is None):
        raise InputRefused("say how much", "give either --hours or --amount")
    seconds = None if hours is None else parse_duration(hours if hours[-1:].isalpha() else hours + "h")
    worth = None if amount is None else AttoFil.parse(amount)
    context = Context()
    store = Store(context.home)
    try:
        rental = store.rental(name)
        network = network_of(context.home, rental.network)
        account = wallet.open_wallet(context.home, context.password(password_file))

        async def raise_it() -> tuple[Rental, TopUp, str]:
            async with chain_of(network, account) as chain, prover_of() as prover:
                if again:
                    await chain.tell_top_ups(rental.order)
                await chain.check_top_up(rental.order)  # before anything is deposited for it
                leasing = Leasing(
                    context.home, network.name, chain, prover, account, signing_of(network), store, SystemClock(),
                    link.adopt,
                )  # fmt: skip
                topping = Topping(context.home, chain, account, store, leasing.free_balance, link.lengthen)
                known = await topping.refresh(rental)
                plan = await topping.plan(known, seconds, worth)
                if not as_json:
                    _show_plan(known, plan)
                if not confirm("Top it up?", yes):
                    raise click.Abort
                with Progress(quiet=as_json) as progress:
                    topped, tx = await topping.top_up(known, plan, progress.report)
                return topped, plan, tx

        topped, plan, tx = run_async(raise_it)
    finally:
        store.close()
    if as_json:
        added = {"tx": tx, "extra_seconds": plan.extra_seconds, "added_attofil": str(plan.amount.value)}
        emit(lease_json(topped) | added)
        return
    click.echo(f"{name} may now run for {format_duration(topped.max_seconds)} in all; {fil(topped.left)} are left")


def _show_plan(rental: Rental, plan: TopUp) -> None:
    from rich.table import Table
    from rich.text import Text

    moved = f", deposits {fil(plan.deposit)}" if plan.deposit else ""
    rows = [
        ("lease", f"{rental.name} at {rental.provider_name}"),
        ("price", f"{fil(rental.price.per_second * 60)}/min, as agreed"),
        ("more time", f"{format_duration(plan.extra_seconds)}, {format_duration(plan.max_seconds)} in all"),
        ("deposit", f"{plan.amount} more, what is not spent comes back"),
        ("wallet", f"{fil(plan.wallet)}, ledger {fil(plan.ledger)}{moved}"),
    ]
    table = Table.grid(padding=(0, 2))
    for key, value in rows:
        table.add_row(Text(key, "bold"), Text(value))
    console(stderr=True).print(table)
