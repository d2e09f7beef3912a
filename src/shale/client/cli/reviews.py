"""Reviews: what clients say of a provider, the newest first, as the chain has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shale.addresses import filecoin_form
from shale.client.cli.context import Context, json_option, run_async
from shale.client.cli.output import console, emit, fil, waiting
from shale.errors import InputRefused
from shale.units import Address, format_duration

if TYPE_CHECKING:
    from rich.console import RenderableType

    from shale.chain.chain import ReviewRecord
    from shale.client.discovery import Found
    from shale.market.review import Standing

SHOWN = 20
MOST = 1000
"""What a chain gives at most (`chain.MAX_REVIEWS`)."""


@click.command()
@click.argument("provider")
@click.option("--limit", type=click.IntRange(1, MOST), default=SHOWN, show_default=True, help="The newest so many.")
@json_option
def command(provider: str, limit: int, as_json: bool) -> None:
    """Show the newest reviews of PROVIDER, an address in any form or a name from shale ls.

    Each with its stars, what it weighs, what was paid, and who wrote it. A comment is its writer's word alone.
    """
    from shale.client.reviewing import address_in
    from shale.client.wiring import chain_of, network_of

    context = Context()
    operator = address_in(provider) or _named(context, provider)
    network = network_of(context.home, context.network_name)

    async def look() -> tuple[Standing, list[ReviewRecord]]:
        async with chain_of(network, keep=True) as chain:
            return await chain.standing(operator), await chain.reviews(operator, limit)

    with waiting("reading the chain's events…"):
        standing, found = run_async(look)
    if as_json:
        emit(
            {
                "provider": operator,
                "provider_f410": filecoin_form(operator),
                "count": standing.reviews,
                "stars": None if standing.stars_hundredths is None else standing.stars_hundredths / 100,
                "weight_seconds": standing.weight_seconds,
                "reviewed_attofil": str(standing.amount.value),
                "reviews": [_json(review) for review in found],
            }
        )
    elif found:
        _print(operator, standing, found)
    else:
        click.echo(f"nobody has reviewed {operator} yet")


def _named(context: Context, name: str) -> Address:
    """The operator of the one provider that calls itself so now."""
    from shale.client.cli.ls import search

    found, _ = search(context)
    return chosen(found, name)


def chosen(found: list[Found], name: str) -> Address:
    """The operator of the provider of this name. Raises InputRefused for none, and for several: a name is anyone's."""
    operators = [item.record.operator for item in found if item.signed.offer.name.casefold() == name.strip().casefold()]
    if not operators:
        raise InputRefused(f"no provider is named {name[:64]!r} now", "give its address, or see shale ls")
    if len(operators) > 1:
        raise InputRefused(
            f"{len(operators)} providers are named {name[:64]!r}", f"give an address: {', '.join(operators[:3])}"
        )
    return operators[0]


def _json(review: ReviewRecord) -> dict[str, Any]:
    return {
        "lease_id": review.lease,
        "at": review.at,
        "stars": review.stars,
        "weight_seconds": review.weight_seconds,
        "paid_attofil": str(review.paid.value),
        "client": review.client,
        "client_f410": filecoin_form(review.client),
        "comment": review.comment,
        "tx": review.tx,
    }


def _print(operator: Address, standing: Standing, found: list[ReviewRecord]) -> None:
    from rich.table import Table
    from rich.text import Text

    mean = standing.stars_hundredths
    head = Text(f"{operator}  ", "bold")
    head.append("★ –" if mean is None else f"★ {mean // 10 / 10:.1f}", "yellow")
    count = f"{standing.reviews} review{'' if standing.reviews == 1 else 's'}"
    weight, paid = format_duration(standing.weight_seconds), fil(standing.amount, 4)
    head.append(f"\n{count}, weighing {weight}, {paid} paid\n", "not bold dim")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for at, review in enumerate(found):
        if at:
            table.add_row()
        table.add_row(Text("★" * review.stars + "☆" * (5 - review.stars), "yellow"), _entry(review))
    console().print(head)
    console().print(table)
    if len(found) < standing.reviews:
        console().print(Text(f"\nand {standing.reviews - len(found)} before these: --limit, at most {MOST}", "dim"))


def _entry(review: ReviewRecord) -> RenderableType:
    from rich.text import Text

    from shale.client.reviewing import day_of

    text = Text(f"{day_of(review.at)}  weighs {format_duration(review.weight_seconds)}, paid {fil(review.paid, 4)}")
    text.append(f"\nby {review.client}", "dim")
    if review.comment:
        text.append(f"\n{review.comment}")
    return text
