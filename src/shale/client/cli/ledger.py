"""Ledger commands: what anyone can know of a provider's ledger by the chain alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shale.addresses import filecoin_form, parse_address
from shale.client.cli.context import Context, json_option, run_async
from shale.client.cli.output import console, emit
from shale.errors import InputRefused
from shale.units import Address, format_duration

if TYPE_CHECKING:
    from shale.ledger.rebuild import Rebuilt


@click.group(no_args_is_help=True)
def group() -> None:
    """The ledger: each provider's tree of leases, as the chain has it."""


@group.command()
@click.option("--provider", metavar="ADDRESS", help="Whose tree. [default: the only provider of the network]")
@json_option
def rebuild(provider: str | None, as_json: bool) -> None:
    """Rebuild a provider's tree from the chain's events, and prove it by the root that stands there."""
    from shale.chain.chain import Chain
    from shale.client.wiring import chain_of, network_of, prover_of
    from shale.ledger.rebuild import rebuild as build

    wanted = parse_address(provider) if provider else None
    context = Context()
    network = network_of(context.home, context.network_name)

    async def chosen(chain: Chain) -> Address:
        if wanted:
            return wanted
        known = await chain.providers()
        if len(known) != 1:
            raise InputRefused(f"the network has {len(known)} providers", "name one with --provider")
        return known[0].operator

    async def look() -> tuple[Address, Rebuilt]:
        async with chain_of(network) as chain, prover_of() as prover:
            operator = await chosen(chain)
            return operator, await build(chain, prover, operator)

    operator, rebuilt = run_async(look)
    exited = rebuilt.history.exited
    if as_json:
        emit(
            {
                "provider": operator,
                "provider_f410": filecoin_form(operator),
                "root": rebuilt.shard.root,
                "block": rebuilt.history.until,
                "batches": rebuilt.history.count,
                "owed_attofil": str(rebuilt.shard.owed.value),
                "demanded": rebuilt.shard.demanded,
                "leaves": [
                    {
                        "index": leaf.index,
                        "lease_id": leaf.lease,
                        "x": leaf.key.x,
                        "y": leaf.key.y,
                        "amount_attofil": str(leaf.amount.value),
                        "seconds": leaf.seconds,
                        "exited": leaf.lease in exited,
                    }
                    for leaf in rebuilt.leaves
                ],
            }
        )
        return
    click.echo(f"{operator}: {len(rebuilt.leaves)} leaves after {rebuilt.history.count} batches")
    click.echo(f"their root is the one on chain: {rebuilt.shard.root}")
    if exited:
        click.echo(f"{len(exited)} of them are of leases that their clients left: closed, and there for ever")
    if rebuilt.leaves:
        from rich import box
        from rich.table import Table

        table = Table("Index", "Lease", "Redeemed", "Time", "", box=box.SIMPLE_HEAD, header_style="bold")
        for leaf in rebuilt.leaves:
            mark = "exited" if leaf.lease in exited else ""
            table.add_row(str(leaf.index), leaf.lease, str(leaf.amount), format_duration(leaf.seconds), mark)
        console().print(table)
