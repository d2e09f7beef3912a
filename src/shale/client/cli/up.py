"""Up: rent a container: find the cheapest provider that fits, show the plan and its price, order, start, enter."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shale.addresses import parse_address
from shale.client.cli.context import Context, confirm, json_option, password_option, run_async
from shale.client.cli.output import emit
from shale.client.cli.progress import Progress
from shale.client.cli.renting import planned, renting
from shale.client.cli.wishes import seconds_of, show_plan, wish_of, wish_options
from shale.errors import InputRefused

if TYPE_CHECKING:
    from shale.client.rental import Rental


@click.command()
@wish_options
@click.option("--ssh-config", is_flag=True, help="Let plain ssh find it: add one Include line to ~/.ssh/config.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@password_option
@json_option
def command(
    dataset: str | None,
    cpus: str,
    memory: str,
    gpus: int,
    image: str,
    hours: str | None,
    longest: str | None,
    provider: str | None,
    name: str | None,
    max_price: str | None,
    ssh_key: str,
    ssh_config: bool,
    yes: bool,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Rent a container next to a dataset. You pay by the tick; the collateral for the whole time comes back, less that.

    \b
    shale up --dataset bafy…:/data --cpus 1 --memory 2Gi --hours 2
    """
    from shale.client import sshconfig, wallet
    from shale.client.keys import find_user_key
    from shale.client.names import new_name
    from shale.client.rental import checked_name
    from shale.client.store import Store

    context = Context()
    limit = max_price or context.config.max_price
    wish = wish_of(dataset, cpus, memory, gpus, image, seconds_of(hours, longest), limit)
    chosen = checked_name(name) if name else None
    only = parse_address(provider) if provider else None
    user_key = find_user_key(ssh_key or context.config.ssh_key)
    wallet.address(context.home)
    with closing(Store(context.home)) as store:
        taken = {rental.name for rental in store.rentals(living=True)}
        if chosen in taken:
            raise InputRefused(f"there is a lease named {chosen} already", "give another --name, or end that one")
        called = chosen or new_name(taken)
        account = wallet.open_wallet(context.home, context.password(password_file))

        async def rent() -> tuple[Rental, float]:
            """The lease, and the seconds from the order to the shell."""
            async with renting(context, context.network_name, store, account) as (leasing, waking):
                plan, *money = await planned(leasing, wish, only)
                if not as_json:
                    show_plan(plan, called, *money)
                if not confirm("Rent it?", yes):
                    raise click.Abort
                # The agent takes a second or two to come up: let it do so while the provider starts the container.
                waking.begin(context.home)
                with Progress(quiet=as_json) as progress:
                    rental = await leasing.lease(plan, called, user_key, progress.report)
                    return rental, progress.seconds

        rental, seconds = run_async(rent)
        show_running(context, rental, seconds, as_json=as_json, hint=yes)
        ask = not yes and not as_json and not sshconfig.is_installed(context.home)
        if ssh_config or (ask and confirm("Add one Include line to ~/.ssh/config, so that plain ssh finds it?", yes)):
            sshconfig.install(context.home)
            click.echo(f"ssh {rental.host} works now", err=True)


def show_running(context: Context, rental: Rental, seconds: float, *, as_json: bool, hint: bool) -> None:
    """How to get in; `hint` says how plain ssh would find it, where nobody was asked."""
    from shale.client.sshconfig import config_path, is_installed

    config, installed = config_path(context.home), is_installed(context.home)
    if as_json:
        emit(lease_json(rental) | {"order_to_shell_seconds": round(seconds, 3), "ssh_config": str(config)})
        return
    plain = f"ssh {rental.host}" if installed else f"ssh -F {config} {rental.host}"
    click.echo(f"\n{rental.name} runs, after {seconds:.1f} s. Enter it:\n\n    {plain}\n")
    if hint and not installed:
        click.echo("shale ssh-config --install makes it just: ssh " + rental.host)
    click.echo(f"Watch it: shale watch {rental.name}    End it: shale end {rental.name}")


def lease_json(rental: Rental) -> dict[str, Any]:
    """A lease as commands show it to programs."""
    order = rental.order
    return {
        "name": rental.name,
        "lease_id": rental.id,
        "network": rental.network,
        "state": rental.state.value,
        "host": rental.host,
        "provider": order.provider,
        "provider_name": rental.provider_name,
        "endpoint": rental.endpoint,
        "image": order.image,
        "dataset": order.dataset or None,
        "mount": rental.mount or None,
        "resources": order.resources.to_json(),
        "price_per_second_attofil": str(rental.price.per_second.value),
        "tick_seconds": order.tick_seconds,
        "max_seconds": rental.max_seconds,
        "collateral_attofil": str(rental.collateral.value),
        "paid_attofil": str(rental.paid.value),
        "paid_seconds": rental.seconds,
        "left_attofil": str(rental.left.value),
        "end_reason": rental.end_reason.text if rental.ended else None,
        "fault": rental.fault or None,
        "created_at": rental.created_at,
        "first_paid_at": rental.first_paid_at or None,
        "ended_at": rental.ended_at or None,
        "settled_paid_attofil": None if rental.settled_paid is None else str(rental.settled_paid.value),
        "settled_seconds": rental.settled_seconds,
        "reviewed": rental.reviewed,
    }
