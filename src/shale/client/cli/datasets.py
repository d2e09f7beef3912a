"""Datasets: what can be computed on: every dataset that a provider holds, and how many hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from shale.client.cli.context import Context, json_option
from shale.client.cli.output import console, emit
from shale.units import format_bytes

if TYPE_CHECKING:
    from shale.client.discovery import Found
    from shale.market.offer import Dataset


@dataclass(slots=True)
class Held:
    """A dataset and the names and addresses of those who hold it."""

    dataset: Dataset
    providers: list[tuple[str, str]] = field(default_factory=list)


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the datasets that providers hold, by name and CID."""
    from shale.client.cli.ls import search

    held = gather(search(Context())[0])
    if as_json:
        emit([_json(item) for item in held])
        return
    if not held:
        click.echo("no provider holds a dataset on this network now")
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    table.add_column("Name", overflow="fold")
    table.add_column("CID", overflow="fold", style="cyan")
    for title in ("Files", "Size", "Providers"):
        table.add_column(title, justify="right", no_wrap=True)
    for item in held:
        entry = item.dataset
        size = format_bytes(entry.size)
        table.add_row(Text(entry.name), entry.root, str(entry.files), size, str(len(item.providers)))
    console().print(table)


def gather(found: list[Found]) -> list[Held]:
    """The datasets by root CID, the most widely held first."""
    by_root: dict[str, Held] = {}
    for item in found:
        for dataset in item.signed.offer.datasets:
            entry = by_root.setdefault(dataset.root, Held(dataset))
            who = (item.signed.offer.name, item.record.operator)
            if who not in entry.providers:
                entry.providers.append(who)
    return sorted(by_root.values(), key=lambda held: (-len(held.providers), held.dataset.name, held.dataset.root))


def _json(item: Held) -> dict[str, object]:
    entry = item.dataset
    return {
        "name": entry.name,
        "root": entry.root,
        "piece": entry.piece,
        "files": entry.files,
        "size": entry.size,
        "entries": [{"path": e.path, "files": e.files, "size": e.size} for e in entry.entries],
        "providers": [{"name": name, "provider": provider} for name, provider in item.providers],
    }
