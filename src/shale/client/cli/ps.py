"""Ps: your leases: where, how long, what was spent and what is left."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from shale.client.cli.context import Context, json_option, run_async
from shale.client.cli.output import console, emit, fil
from shale.errors import ShaleError
from shale.units import format_duration

if TYPE_CHECKING:
    from shale.client.rental import Rental
    from shale.client.store import Store


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Those that have ended, too.")
@json_option
def command(everything: bool, as_json: bool) -> None:
    """List your leases: provider, state, elapsed time, spent and left."""
    from shale.client.cli.up import lease_json
    from shale.client.store import Store

    context = Context()
    store = Store(context.home)
    try:
        if everything:
            _refresh(context, store)
        rentals = store.rentals(living=not everything)
    finally:
        store.close()
    if as_json:
        emit([lease_json(rental) for rental in rentals])
    elif rentals:
        _print(rentals)
    else:
        click.echo("you have no lease" + ("" if everything else " now; see shale ps --all, or begin one with shale up"))


def _refresh(context: Context, store: Store) -> None:
    """Ask the chain what became of ended leases; the list is shown without it, too."""
    from shale.client.ending import refresh_settled
    from shale.client.wiring import chain_of, network_of
    from shale.market.lease import LeaseState

    waiting = {rental.network for rental in store.rentals() if rental.state is LeaseState.ENDED}
    for name in waiting:

        async def look(name: str = name) -> None:
            async with chain_of(network_of(context.home, name)) as chain:
                for rental in await refresh_settled(store, chain, name):
                    click.echo(
                        f"{rental.name}: its start failed, and the provider locked its collateral all the same: "
                        f"free it with shale end {rental.name}",
                        err=True,
                    )

        with suppress(ShaleError):
            run_async(look)


def _print(rentals: list[Rental]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    table.add_column("Name", no_wrap=True)
    table.add_column("Provider", overflow="ellipsis", no_wrap=True)
    table.add_column("State", no_wrap=True)
    for title in ("Elapsed", "Spent", "Left"):
        table.add_column(title, justify="right", no_wrap=True)
    for rental in rentals:
        colour = {"running": "green", "frozen": "yellow"}.get(rental.state.value, "dim" if rental.ended else "")
        state = rental.state.value + (f" ({rental.end_reason.text})" if rental.ended else "")
        spent = rental.paid if rental.settled_paid is None else rental.settled_paid
        left = "" if rental.ended else fil(rental.left)
        elapsed = format_duration(elapsed_seconds(rental))
        table.add_row(rental.name, Text(rental.provider_name), Text(state, colour), elapsed, fil(spent), left)
    console().print(table)
    for rental in rentals:
        if rental.fault:
            console().print(Text(f"{rental.name}: {rental.fault}", "bold red"))


def elapsed_seconds(rental: Rental) -> int:
    """From the start to now, or to the end."""
    from shale.clock import SystemClock

    return max(0, (rental.ended_at or SystemClock().now()) - rental.created_at)
