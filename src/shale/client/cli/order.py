"""Order: a lease by plain transactions, step by step: create, confirm; or cancel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shale.addresses import parse_address
from shale.client.cli.context import Context, confirm, json_option, password_option, run_async
from shale.client.cli.output import console, emit, fil
from shale.client.cli.progress import Progress
from shale.client.cli.renting import planned, renting
from shale.client.cli.wishes import seconds_of, show_plan, wish_of, wish_options
from shale.errors import InputRefused
from shale.units import format_duration

if TYPE_CHECKING:
    from shale.chain.chain import OrderStage, Receipt
    from shale.client.agent.link import Waking
    from shale.client.ordering import Ordering
    from shale.client.published import PublishedOrder
    from shale.client.rental import Rental
    from shale.client.store import Store
    from shale.market.accounts import Account


@click.group(no_args_is_help=True)
def group() -> None:
    """Rent by plain transactions. `shale up` is faster: its lease runs before the chain has it."""


@group.command()
@wish_options
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@password_option
@json_option
def create(
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
    yes: bool,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Write an order to the chain, for the cheapest provider that fits. It locks no money: `confirm` does."""
    from shale.client import published, wallet
    from shale.client.keys import find_user_key
    from shale.client.names import new_name
    from shale.client.rental import checked_name
    from shale.client.store import Store

    context = Context()
    limit = max_price or context.config.max_price
    wish = wish_of(dataset, cpus, memory, gpus, image, seconds_of(hours, longest), limit)
    only = parse_address(provider) if provider else None
    user_key = find_user_key(ssh_key or context.config.ssh_key)
    with closing(Store(context.home)) as store:
        taken = {one.name for one in store.rentals(living=True)} | {one.name for one in published.every(store)}
        chosen = checked_name(name) if name else new_name(taken)
        if chosen in taken:
            raise InputRefused(f"there is a lease or an order named {chosen} already", "give another --name")
        account = wallet.open_wallet(context.home, context.password(password_file))

        async def write() -> tuple[PublishedOrder, Receipt]:
            async with _ordering(context, context.network_name, store, account) as (ordering, _):
                plan, *money = await planned(ordering.leasing, wish, only)
                if not as_json:
                    show_plan(plan, chosen, *money)
                if not confirm("Order it?", yes):
                    raise click.Abort
                with Progress(quiet=as_json) as progress:
                    return await ordering.create(plan, chosen, user_key, progress.report)

        made, receipt = run_async(write)
    if as_json:
        emit(_order_json(made, "created") | {"tx": receipt.tx})
        return
    click.echo(f"{made.id}\n\nThe order {made.name} stands on the chain. Go on: shale order confirm {made.name}")


@group.command("confirm")
@click.argument("order")
@password_option
@json_option
def confirm_(order: str, password_file: Path | None, as_json: bool) -> None:
    """Have ORDER (its name or lease id) accepted, lock its collateral, and enter the lease.

    It gives the provider the order's text and waits for its acceptance on the chain. Stopped, it is called again.
    """
    from shale.client import published, wallet
    from shale.client.cli.up import show_running
    from shale.client.store import Store

    context = Context()
    with closing(Store(context.home)) as store:
        found = published.find(store, order)
        account = wallet.open_wallet(context.home, context.password(password_file))

        async def go_on() -> tuple[Rental, float]:
            async with _ordering(context, found.network, store, account) as (ordering, waking):
                waking.begin(context.home)
                with Progress(quiet=as_json) as progress:
                    rental = await ordering.confirm(found, progress.report)
                    return rental, progress.seconds

        rental, seconds = run_async(go_on)
    show_running(context, rental, seconds, as_json=as_json, hint=True)


@group.command()
@click.argument("order")
@password_option
@json_option
def cancel(order: str, password_file: Path | None, as_json: bool) -> None:
    """Take ORDER (its name or lease id) back, and forget its keys."""
    from shale.client import published, wallet
    from shale.client.store import Store

    context = Context()
    with closing(Store(context.home)) as store:
        found = published.find(store, order)
        account = wallet.open_wallet(context.home, context.password(password_file))

        async def take_back() -> Receipt | None:
            async with _ordering(context, found.network, store, account) as (ordering, _):
                with Progress(quiet=as_json) as progress:
                    return await ordering.cancel(found, progress.report)

        receipt = run_async(take_back)
    if as_json:
        emit(_order_json(found, "cancelled") | {"tx": receipt.tx if receipt else None})
        return
    click.echo(f"the order {found.name} is " + ("cancelled" if receipt else "forgotten: nobody can take it any more"))


@group.command("ls")
@json_option
def list_(as_json: bool) -> None:
    """List the orders that are no lease yet, and how far they are on the chain."""
    from shale.client import published
    from shale.client.store import Store
    from shale.client.wiring import chain_of, network_of

    context = Context()
    with closing(Store(context.home)) as store:
        orders = published.every(store)

    async def look() -> list[OrderStage]:
        stages: dict[str, OrderStage] = {}
        for name in {one.network for one in orders}:
            async with chain_of(network_of(context.home, name)) as chain:
                stages |= {one.id: await chain.order_stage(one.id) for one in orders if one.network == name}
        return [stages[one.id] for one in orders]

    shown = [(one, stage.name.lower()) for one, stage in zip(orders, run_async(look), strict=True)]
    if as_json:
        emit([_order_json(one, stage) for one, stage in shown])
    elif shown:
        _print(shown)
    else:
        click.echo("you have no order that waits; make one with shale order create")


@asynccontextmanager
async def _ordering(
    context: Context, network_name: str | None, store: Store, account: Account
) -> AsyncIterator[tuple[Ordering, Waking]]:
    from shale.client.ordering import Ordering

    async with renting(context, network_name, store, account) as (leasing, waking):
        if leasing.contract is not None:
            raise InputRefused(
                "a contract sends its orders by itself", "use shale up, or shale wallet use-contract --none"
            )
        yield Ordering(leasing), waking


def _order_json(one: PublishedOrder, stage: str) -> dict[str, Any]:
    return {
        "name": one.name,
        "lease_id": one.id,
        "network": one.network,
        "state": stage,
        "provider": one.order.provider,
        "provider_name": one.provider_name,
        "endpoint": one.endpoint,
        "price_per_second_attofil": str(one.order.price.per_second.value),
        "max_seconds": one.order.max_seconds,
        "collateral_attofil": str(one.order.collateral.value),
        "deadline": one.deadline,
        "created_at": one.created_at,
    }


def _print(shown: list[tuple[PublishedOrder, str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from shale.clock import SystemClock

    now = SystemClock().now()
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for title in ("Name", "Lease id", "Provider", "On chain", "Collateral", "Good for"):
        table.add_column(title, no_wrap=True)
    for one, stage in shown:
        left = format_duration(one.deadline - now) if one.deadline > now else "over"
        collateral = fil(one.order.collateral)
        table.add_row(one.name, f"{one.id[:14]}…", Text(one.provider_name), stage, collateral, left)
    console().print(table)
