"""Datasets: what can be computed on: every dataset that a provider holds, searched by name, CID and file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shale.client.cli.context import Context, json_option, run_async
from shale.client.cli.output import console, emit, plain
from shale.units import format_bytes

if TYPE_CHECKING:
    from rich.text import Text

    from shale.client.searching import Held

_MOST_TOLD = 10
"""Of the providers that could not be asked."""


@click.command()
@click.argument("words", nargs=-1)
@json_option
def command(words: tuple[str, ...], as_json: bool) -> None:
    """List the datasets that providers hold; with WORDS those whose name, description, CIDs or files fit all."""
    from shale.client.cli.ls import search
    from shale.client.searching import search as look
    from shale.market.words import split

    wanted = " ".join(words)
    split(wanted)
    found, _ = search(Context())
    held, unasked = run_async(lambda: look(found, wanted))
    for one in unasked[:_MOST_TOLD]:
        line = f"{one.name} ({one.provider}) was searched by its offer alone: {one.why}"
        click.echo(plain(line), err=True)
    if len(unasked) > _MOST_TOLD:
        click.echo(f"and so were {len(unasked) - _MOST_TOLD} more", err=True)
    if as_json:
        emit([_json(item) for item in held])
        return
    if not held:
        click.echo("no provider holds a dataset " + ("that fits" if words else "on this network now"))
        return
    shown = console()
    for number, item in enumerate(held):
        if number:
            shown.print()
        # A CID is there to be copied: no column is wide enough for it, a line of its own is.
        shown.print(_what(item))


def _what(item: Held) -> Text:
    """The name and CID, what its manifest says, what is claimed of it, and the files that were found."""
    from rich.text import Text

    dataset, holders = item.dataset, len(item.providers)
    text = Text(dataset.name, style="bold")
    held = f"{holders} provider{'' if holders == 1 else 's'}"
    text.append(f"  {dataset.files} files, {format_bytes(dataset.size)}, {held}", style="not bold")
    text.append(f"\n  {dataset.root}", style="not bold cyan")
    if dataset.description:
        text.append(f"\n  {dataset.description}", style="not bold")
    claimed = sum(piece.claim is not None for piece in dataset.pieces)
    facts = [dataset.licence] if dataset.licence else []
    if claimed:
        facts.append(f"{claimed} of {len(dataset.pieces)} pieces with a verified claim")
    if facts:
        text.append(f"\n  {', '.join(facts)}", style="not bold dim")
    for entry in item.files:
        text.append(f"\n    {entry.path}", style="not bold green")
        text.append(f"  {format_bytes(entry.size)}", style="not bold dim")
    if item.matched > len(item.files):
        text.append(f"\n    and {item.matched - len(item.files)} more files", style="not bold dim")
    return text


def _json(item: Held) -> dict[str, object]:
    from shale.market.offer import dataset_to_json

    return dataset_to_json(item.dataset) | {
        "providers": [{"name": name, "provider": provider} for name, provider in item.providers],
        "matched": item.matched,
        "matched_files": [{"path": entry.path, "size": entry.size} for entry in item.files],
    }
