"""Piece commands: pack a folder as a dataset, look into one, commit to a file."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from shale.client.cli.context import json_option, run_async
from shale.client.cli.output import console, emit
from shale.units import Cid, format_bytes

if TYPE_CHECKING:
    from shale.datasets.kernel import Progress

T = TypeVar("T")

_source = click.argument("source", type=click.Path(path_type=Path))
_root = click.option("--root", metavar="CID", help="The dataset's root, for a CAR whose header does not name just one.")


@click.group(no_args_is_help=True)
def group() -> None:
    """Pack a folder as a dataset, and look into one. A SOURCE is a CAR file."""


@group.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT.car", type=click.Path(path_type=Path))
@json_option
def pack(folder: Path, out: Path, as_json: bool) -> None:
    """Write DIR as a CAR, the same bytes each time; print its root CID and piece CID."""
    from shale.datasets import kernel

    packed = _run("packing", lambda progress: kernel.pack(folder, out, progress))
    if as_json:
        emit(
            {
                "root": packed.root,
                "piece_cid": packed.piece,
                "piece_cid_v2": packed.piece_v2,
                "raw_size": packed.raw_size,
                "padded_size": packed.padded_size,
                "files": packed.files,
            }
        )
        return
    click.echo(f"root      {packed.root}")
    click.echo(f"piece     {packed.piece}")
    click.echo(f"piece v2  {packed.piece_v2}")
    sizes = f"{format_bytes(packed.raw_size)}, padded {format_bytes(packed.padded_size)}"
    click.echo(f"holds     {packed.files} file{'' if packed.files == 1 else 's'} in {sizes}")


@group.command()
@_source
@_root
@json_option
def ls(source: Path, root: str | None, as_json: bool) -> None:
    """List the files of a dataset, by path."""
    from shale.datasets import kernel

    files = run_async(lambda: kernel.ls(source, Cid(root) if root else None))
    if as_json:
        emit([{"path": file.path, "type": file.type, "size": file.size, "cid": file.cid} for file in files])
        return
    for file in files:
        # A name may hold what moves a terminal's cursor.
        name = "".join(char if char.isprintable() else "?" for char in file.path)
        click.echo(f"{file.size:>14}  {file.cid}  {name}")


@group.command()
@_source
@click.argument("path")
@_root
@click.option("--json", "as_json", is_flag=True, help="Show an error in JSON; the file is written as it is.")
def cat(source: Path, path: str, root: str | None, as_json: bool) -> None:
    """Write the file PATH of a dataset to the standard output, verified block by block."""
    from shale.datasets import kernel

    sys.stdout.flush()
    run_async(lambda: kernel.cat(source, path, Cid(root) if root else None, out=sys.stdout.fileno()))


@group.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def commp(file: Path, as_json: bool) -> None:
    """Commit to FILE as a piece: its piece CIDs, version 1 and 2, and its sizes."""
    from shale.datasets import kernel

    found = _run("reading", lambda progress: kernel.commp(file, progress))
    if as_json:
        sizes = {"raw_size": found.raw_size, "padded_size": found.padded_size}
        emit({"v1": found.v1, "v2": found.v2, **sizes})
        return
    click.echo(f"v1    {found.v1}")
    click.echo(f"v2    {found.v2}")
    click.echo(f"size  {found.raw_size} bytes, padded {found.padded_size}")


def _run(title: str, work: Callable[[Progress | None], Awaitable[T]]) -> T:
    """Do the work; where a person looks on, show how far it is, with rate and remaining time."""

    async def plain() -> T:
        return await work(None)

    if not sys.stderr.isatty():
        return run_async(plain)

    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn(title),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )

    async def shown() -> T:
        with Bar(*columns, console=console(stderr=True), transient=True) as bar:
            task = bar.add_task(title, total=None)
            return await work(lambda done, total: bar.update(task, completed=done, total=total))

    return run_async(shown)
