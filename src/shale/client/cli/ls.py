"""Ls: one row a provider: what it has free, which datasets it holds, what it costs, how it is rated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shale.addresses import filecoin_form
from shale.client.cli.context import Context, json_option, run_async
from shale.client.cli.output import console, emit, fil, plain
from shale.units import format_bytes, format_duration

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.tree import Tree

    from shale.client.discovery import Found, Unusable
    from shale.market.offer import Dataset, Offer

SHOWN_ENTRIES = 4
SHOWN_DATASETS = 8


@click.command()
@click.option("--dataset", metavar="CID|WORDS", help="Only providers that hold it: its root, a piece, or its name.")
@click.option(
    "--sort", "order", type=click.Choice(["rating", "price"]), default="rating", show_default=True,
    help="Best rated or cheapest first.",
)  # fmt: skip
@json_option
def command(dataset: str | None, order: str, as_json: bool) -> None:
    """List providers: what they have free, their datasets (name, CID, files), and the price of 1 CPU and 1 GiB.

    What clients say of one: shale reviews PROVIDER.
    """
    wanted = dataset.strip() if dataset else None
    found, unusable = search(Context())
    if wanted:
        found = [item for item in found if _wanted(item.signed.offer, wanted)]
    if order == "rating":
        found = by_rating(found)
    if as_json:
        emit({"providers": [provider_json(item) for item in found], "unusable": [_unusable_json(u) for u in unusable]})
        return
    if found:
        console().print(_table(found, wanted))
    elif wanted:
        click.echo(f"no provider holds {plain(wanted)}; see shale datasets")
    else:
        click.echo("no provider offers anything on this network now")
    for item in unusable:
        click.echo(f"left out: {item.record.operator} at {item.record.endpoint}: {item.why}", err=True)


def _wanted(offer: Offer, wanted: str) -> list[Dataset]:
    """The datasets that a CID or words name: by root or piece, else by what stands in name and description."""
    from shale.client.searching import fits

    exact = offer.dataset(wanted)
    return [exact] if exact else [item for item in offer.datasets if fits(item, wanted)]


def search(context: Context) -> tuple[list[Found], list[Unusable]]:
    """Ask the network's providers, cheapest first."""
    from shale.client.discovery import discover
    from shale.client.wiring import chain_of, network_of, signing_of
    from shale.clock import SystemClock

    network = network_of(context.home, context.network_name)

    async def look() -> tuple[list[Found], list[Unusable]]:
        async with chain_of(network) as chain:
            return await discover(chain, signing_of(network), SystemClock().now())

    found, unusable = run_async(look)
    return sorted(found, key=lambda item: (_unit_price(item.signed.offer), item.record.operator)), unusable


def by_rating(found: list[Found]) -> list[Found]:
    """Best score first; equal ones in the order that they have."""
    from shale.market.review import Standing

    nothing = Standing(0, 0, 0)
    return sorted(found, key=lambda item: -(item.standing or nothing).score_hundredths)


def _unit_price(offer: Offer) -> int:
    return offer.tariff.per_cpu.value + offer.tariff.per_gib.value


def provider_json(item: Found) -> dict[str, Any]:
    """All of an offer, with what chain and registry say beside it."""
    from shale.market.offer import offer_to_json

    standing = item.standing
    mean = standing.stars_hundredths if standing else None
    return offer_to_json(item.signed.offer) | {
        "provider_f410": filecoin_form(item.signed.offer.provider),
        "registered_miner": item.record.miner,
        "expires_at": item.signed.expires_at,
        "price_per_minute_1cpu_1gib_attofil": str(_unit_price(item.signed.offer) * 60),
        "reviews": standing.reviews if standing else None,
        "stars": None if mean is None else mean / 100,
        "score": standing.score_hundredths / 100 if standing else None,
        "weight_seconds": standing.weight_seconds if standing else None,
        "weighted_stars": standing.weighted_stars if standing else None,
        "reviewed_attofil": str(standing.amount.value) if standing else None,
        "amount_stars": str(standing.amount_stars) if standing else None,
    }


def _unusable_json(item: Unusable) -> dict[str, str]:
    return {"provider": item.record.operator, "endpoint": item.record.endpoint, "why": item.why}


def _table(found: list[Found], wanted: str | None) -> RenderableType:
    from rich import box
    from rich.table import Table

    table = Table(box=box.ROUNDED, show_lines=True, border_style="dim", header_style="bold")
    table.add_column("Provider", overflow="fold", min_width=13)
    table.add_column("Free / total", overflow="fold", ratio=3)
    table.add_column("Datasets", overflow="fold", ratio=4)
    table.add_column("1 CPU, 1 GiB", justify="right", no_wrap=True)
    for item in found:
        table.add_row(_who(item), _resources(item.signed.offer), _datasets(item.signed.offer, wanted), _cost(item))
    return table


def _who(item: Found) -> RenderableType:
    from rich.text import Text

    offer = item.signed.offer
    text = Text(offer.name, style="bold")
    text.append(f"\n{offer.provider[:6]}…{offer.provider[-4:]}", style="dim")
    if item.record.miner:
        text.append(f"\nf0{item.record.miner}")
    standing = item.standing
    if standing is None or standing.stars_tenths is None:
        text.append("\nno reviews", style="dim")
    else:
        text.append(f"\n★ {standing.stars_tenths / 10:.1f}", style="yellow")
        reviews = f"{standing.reviews} review{'' if standing.reviews == 1 else 's'}"
        text.append(f"\n{reviews}, {format_duration(standing.weight_seconds)}\n{fil(standing.amount, 4)}", style="dim")
    return text


def _resources(offer: Offer) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    free, total = offer.free, offer.total
    tree = Tree(Text(offer.cpu_model or "machine"), guide_style="dim")
    tree.add(Text(f"CPU {free.cpu_millis / 1000:g} / {total.cpu_millis / 1000:g}"))
    tree.add(Text(f"memory {format_bytes(free.memory_bytes)} / {format_bytes(total.memory_bytes)}"))
    tree.add(Text(f"disk {format_bytes(free.disk_bytes)}"))
    if offer.gpus:
        gpus = tree.add(Text(f"GPU {free.gpus} / {total.gpus}"))
        for gpu in offer.gpus:
            gpus.add(Text(f"{gpu.model} {format_bytes(gpu.memory_bytes)}"))
    return tree


def _datasets(offer: Offer, wanted: str | None) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    listed = _wanted(offer, wanted) if wanted else list(offer.datasets)
    trees: list[RenderableType] = [_dataset(item, bool(wanted)) for item in listed[:SHOWN_DATASETS]]
    if len(listed) > SHOWN_DATASETS:
        trees.append(Text(f"and {len(listed) - SHOWN_DATASETS} more: shale datasets", style="dim"))
    return Group(*trees) if trees else Text("none", style="dim")


def _dataset(item: Dataset, whole: bool) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    head = Text(item.name, style="bold")
    head.append(f"  {item.files} files, {format_bytes(item.size)}", style="dim")
    tree = Tree(head, guide_style="dim")
    cid = item.root if whole else f"{item.root[:7]}…{item.root[-6:]}"
    files = tree.add(Text(cid, style="cyan"))
    for entry in item.entries[:SHOWN_ENTRIES]:
        row = Text(entry.path)
        row.append(f"  {entry.files} files" if entry.files > 1 else f"  {format_bytes(entry.size)}", style="dim")
        files.add(row)
    if len(item.entries) > SHOWN_ENTRIES:
        files.add(Text(f"and {len(item.entries) - SHOWN_ENTRIES} more", style="dim"))
    return tree


def _cost(item: Found) -> RenderableType:
    from rich.text import Text

    from shale.units import AttoFil

    minute = AttoFil(_unit_price(item.signed.offer) * 60)
    text = Text(f"{fil(minute, 4)}\nper minute")
    text.append(f"\n{fil(minute * 60, 4)}\nper hour", style="dim")
    return text
