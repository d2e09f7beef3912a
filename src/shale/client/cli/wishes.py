"""Wishes: the options that say what is to be rented, alike for all commands that rent, and the plan as it is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from shale.client.cli.output import console, fil
from shale.errors import InputRefused
from shale.units import AttoFil, Price, format_bytes, format_duration, parse_duration

if TYPE_CHECKING:
    from shale.client.plan import Plan, Wish

C = TypeVar("C", bound=Callable[..., Any])


def _only_one(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> str | None:
    if len(given) > 1:
        raise InputRefused("a lease has one dataset", "give --dataset once, and rent another container for the other")
    return given[0] if given else None


_OPTIONS = (
    click.option(
        "--dataset",
        metavar="CID[:/MOUNT]",
        multiple=True,
        callback=_only_one,
        help="The dataset, and where it is mounted (/data). A lease has one.",
    ),
    click.option("--cpus", default="1", show_default=True, help="CPUs, such as 0.5 or 4."),
    click.option("--memory", default="1Gi", show_default=True, help="Memory, such as 512Mi or 8Gi."),
    click.option("--gpus", default=0, show_default=True, type=click.IntRange(0, 64), help="Whole GPUs."),
    click.option("--image", metavar="NAME", default="", help="The container's image. [default: the provider's first]"),
    click.option("--hours", metavar="H", help="The longest that you will stay, in hours. [default: 1]"),
    click.option("--max", "longest", metavar="TIME", help="The same as a duration: 30m, 8h, 2d."),
    click.option("--provider", metavar="ADDRESS", help="This provider only. [default: the cheapest that fits]"),
    click.option("--name", help="How you will call it: ssh shale-NAME. [default: made up]"),
    click.option("--max-price", metavar="PRICE", help='Never pay more than this, such as "0.01 FIL/h".'),
    click.option("--ssh-key", metavar="FILE", default="", help="Your SSH key. [default: the one in ~/.ssh]"),
)


def wish_options(command: C) -> C:
    """Gives a command the options of `wish_of`, and provider, name, ssh_key."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def seconds_of(hours: str | None, longest: str | None) -> int:
    from shale.client.plan import MAX_SECONDS

    if hours and longest:
        raise InputRefused("--hours and --max are the same thing", "give one of them")
    seconds = parse_duration(longest or (f"{hours}h" if hours else "1h"))
    if not 1 <= seconds <= MAX_SECONDS:
        raise InputRefused("that time is out of range", "give 1 s to 10 years")
    return seconds


def wish_of(dataset: str | None, cpus: str, memory: str, gpus: int, image: str, seconds: int, max_price: str) -> Wish:
    from shale.client.plan import Wish, parse_dataset
    from shale.market.order import text_of
    from shale.market.resources import Resources

    cid, mount = parse_dataset(dataset) if dataset else ("", "")
    limit = Price.parse(max_price) if max_price else None
    return Wish(Resources.parse(cpus, memory, gpus), seconds, cid, mount, text_of(image, 256), limit)


def show_plan(plan: Plan, name: str, wallet: AttoFil, ledger: AttoFil) -> None:
    from rich.table import Table
    from rich.text import Text

    offer, wanted = plan.offer, plan.resources
    deposit = AttoFil(max(0, plan.collateral.value - ledger.value))
    size = f"{wanted.cpu_millis / 1000:g} CPU, {format_bytes(wanted.memory_bytes)}"
    standing = plan.found.standing
    stars = f", ★ {standing.stars_tenths / 10:.1f}" if standing and standing.stars_tenths is not None else ""
    rows = [
        ("lease", name),
        ("provider", f"{offer.name} ({offer.provider}){stars}"),
        ("container", size + (f", {wanted.gpus} GPU" if wanted.gpus else "") + f", image {plan.image}"),
    ]
    if plan.dataset:
        held = plan.dataset
        rows.append(("dataset", f"{held.name} ({held.files} files, {format_bytes(held.size)}) at {plan.mount}"))
    per_second = plan.price.per_second
    rows += [
        ("price", f"{fil(per_second * 60)}/min, {fil(per_second * 3600)}/h, paid every {offer.tick_seconds} s"),
        ("at most", format_duration(plan.max_seconds)),
        ("collateral", f"{plan.collateral}, what is not spent comes back"),
        ("wallet", f"{fil(wallet)}, ledger {fil(ledger)}" + (f", deposits {fil(deposit)}" if deposit else "")),
    ]
    table = Table.grid(padding=(0, 2))
    for key, value in rows:
        table.add_row(Text(key, "bold"), Text(value))
    console(stderr=True).print(table)
