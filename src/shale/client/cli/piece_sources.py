"""Piece commands about what a piece lies in: inspect and verify a source, move a piece into and out of a sector."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from shale.client.cli.bars import shown, watched
from shale.client.cli.context import json_option
from shale.client.cli.output import emit, plain
from shale.units import Cid, format_bytes

_source = click.argument("source")
_out = click.argument("out", type=click.Path(path_type=Path, readable=False))


@click.command()
@_source
@json_option
def inspect(source: str, as_json: bool) -> None:
    """Say what a source is: format, root, blocks, sizes, what is malformed and where. Reads no block."""
    from shale.datasets import sources

    found = watched(lambda: sources.inspect(source))
    if as_json:
        emit({name: value for name, value in asdict(found).items() if value is not None or name == "root"})
        return
    click.echo(f"source    {plain(found.source)}")
    click.echo(f"format    {found.format}")
    for root in found.roots:
        click.echo(f"root      {root}{' (not in it)' if root in found.missing_roots else ''}")
    if found.raw_size:
        click.echo(f"holds     {found.blocks} blocks in {format_bytes(found.raw_size)}")
        click.echo(f"padded    {format_bytes(found.padded_size)}")
    if found.sector_size is not None:
        click.echo(f"sector    {format_bytes(found.sector_size)}")
    for extent in found.unsealed:
        click.echo(f"unsealed  {extent.size} bytes at {extent.offset}")
    for piece in found.pieces:
        click.echo(f"piece {piece.number:<4}{piece.cid}  {format_bytes(piece.size)} at {piece.offset}")
    for problem in found.problems:
        click.echo(f"problem   offset {problem.offset}: {plain(problem.reason)}")


@click.command()
@_source
@click.option("--piece", metavar="CID", help="The piece CID that the source should have. A URL's own is known.")
@click.option("--sample", metavar="N", type=click.IntRange(min=1), help="Check N blocks chosen at random, not all.")
@json_option
@click.pass_context
def verify(context: click.Context, source: str, piece: str | None, sample: int | None, as_json: bool) -> None:
    """Check a source: every block against its CID, and all of it against its piece CID if that is known.

    The exit status is 1 if anything is wrong.
    """
    from shale.datasets import sources

    found = shown(
        "verifying",
        lambda progress: sources.verify(source, Cid(piece) if piece else None, sample or 0, progress),
    )
    if as_json:
        emit(asdict(found))
    else:
        click.echo(f"blocks    {found.verified} of {found.blocks} verified")
        if found.piece_cid is not None:
            click.echo(f"piece     {found.piece_cid}{'' if found.piece_ok else ' (another one is claimed)'}")
        for problem in found.problems:
            click.echo(f"problem   offset {problem.offset}: {plain(problem.reason)}")
        if found.faults > len(found.problems):
            click.echo(f"problem   {found.faults - len(found.problems)} more")
        click.echo("sound" if found.ok else "not sound")
    if not found.ok:
        context.exit(1)


@click.command()
@_source
@_out
@click.option("--sector-size", required=True, metavar="SIZE", help="2KiB, 8MiB, 512MiB, 32GiB or 64GiB.")
@click.option("--at", default="0", metavar="OFFSET", help="Where in it, padded; a multiple of the piece's size.")
@json_option
def pad(source: str, out: Path, sector_size: str, at: str, as_json: bool) -> None:
    """Put a piece into an unsealed sector file, as lotus lays it out. OUT is made, or gets one piece more."""
    from shale.datasets import sources

    padded = shown("padding", lambda progress: sources.pad(source, out, sector_size, at, progress))
    if as_json:
        emit(asdict(padded))
        return
    click.echo(padded.source)


@click.command()
@_source
@_out
@json_option
def unpad(source: str, out: Path, as_json: bool) -> None:
    """Write the raw bytes of a source as a new file, for example a piece of a sector."""
    from shale.datasets import sources

    done = shown("unpadding", lambda progress: sources.unpad(source, out, progress))
    if as_json:
        emit({"raw_size": done.raw_size, "trailing_zeros": done.trailing_zeros})
        return
    click.echo(f"{out}  {format_bytes(done.raw_size)}")
    if done.trailing_zeros:
        text = f"the last {done.trailing_zeros} bytes are zeros: padding, unless the piece ends in them"
        click.echo(f"{text}; a sector's or park's piece takes its raw size as raw=BYTES", err=True)
