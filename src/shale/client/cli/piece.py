"""Piece commands: pack a folder as a dataset, look into one, mount or materialise it, commit to a piece."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shale.client.cli import manifest, piece_sources
from shale.client.cli.bars import WaitLine, shown, watched
from shale.client.cli.context import json_option, run_async
from shale.client.cli.output import emit, plain
from shale.units import Cid, format_bytes

if TYPE_CHECKING:
    from shale.datasets.kernel import Listed

_source = click.argument("source")
# Whether it can be read the kernel says: at the place of a dead mount nothing can, and the next mount clears it.
_folder = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, readable=False))
_root = click.option("--root", metavar="CID", help="The dataset's root, for a CAR whose header does not name just one.")

_also = click.option(
    "--with",
    "also",
    metavar="SOURCE",
    multiple=True,
    help="A further piece of the dataset; once for each, in their order.",
)


@click.group(no_args_is_help=True)
def group() -> None:
    """Pack a folder as a dataset, and look into one.

    A SOURCE is a file (a CAR, or any piece), or one of

    \b
      http://HOST/piece/CID              a piece on a server; https too
      sector:PATH?offset=N&size=N        a piece of an unsealed sector, padded; &raw=N cuts its trailing zeros
      park:PATH                          a file of Curio's piece park
      aggregate:SOURCE#N                 a piece inside another (FRC-0058), by number or piece CID
    """


for _command in (
    manifest.manifest,
    piece_sources.inspect,
    piece_sources.verify,
    piece_sources.pad,
    piece_sources.unpad,
):
    group.add_command(_command)


@group.command()
@_folder
@click.argument("out", metavar="OUT.car", type=click.Path(path_type=Path, readable=False))
@click.option("--force", is_flag=True, help="Replace OUT.car if it exists.")
@json_option
def pack(folder: Path, out: Path, force: bool, as_json: bool) -> None:
    """Write DIR as a CAR, the same bytes each time; print its root CID and piece CID."""
    from shale.datasets import kernel

    packed = shown("packing", lambda progress: kernel.pack(folder, out, progress, force=force))
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
@_also
@_root
@json_option
def ls(source: str, also: tuple[str, ...], root: str | None, as_json: bool) -> None:
    """List the files, symlinks and empty directories of a dataset, by path."""
    from shale.datasets import kernel

    begun = False

    def show(files: list[Listed]) -> None:
        nonlocal begun
        for file in files:
            if as_json:
                print(",\n" if begun else "[", json.dumps(_entry(file), ensure_ascii=False), sep="", end="")
            else:
                mark = (
                    "/" if file.type == "directory" else f" -> {plain(file.target)}" if file.target is not None else ""
                )
                print(f"{file.size:>14}  {file.cid}  {plain(file.path)}{mark}")
            begun = True

    watched(lambda: kernel.ls(source, show, _cid(root), also=also), writing=True)
    if as_json:
        print("]" if begun else "[]")


@group.command()
@_source
@click.argument("path")
@_also
@_root
@click.option("--json", "as_json", is_flag=True, help="Show an error in JSON; the file is written as it is.")
def cat(source: str, path: str, also: tuple[str, ...], root: str | None, as_json: bool) -> None:
    """Write the file PATH of a dataset to the standard output, verified block by block."""
    from shale.datasets import kernel

    sys.stdout.flush()
    watched(lambda: kernel.cat(source, path, _cid(root), also=also, out=sys.stdout.fileno()), writing=True)


@group.command()
@_source
@json_option
def commp(source: str, as_json: bool) -> None:
    """Commit to a source as a piece: its piece CIDs, version 1 and 2, and its sizes."""
    from shale.datasets import kernel

    found = shown("reading", lambda progress: kernel.commp(source, progress))
    if as_json:
        sizes = {"raw_size": found.raw_size, "padded_size": found.padded_size}
        emit({"v1": found.v1, "v2": found.v2, **sizes})
        return
    click.echo(f"v1    {found.v1}")
    click.echo(f"v2    {found.v2}")
    click.echo(f"size  {found.raw_size} bytes, padded {found.padded_size}")


@group.command()
@_source
@_folder
@_also
@_root
@click.option(
    "--verify",
    type=click.Choice(["first-touch", "always", "never"]),
    default="first-touch",
    show_default=True,
    help="When a block is compared with its CID.",
)
@json_option
def mount(source: str, folder: Path, also: tuple[str, ...], root: str | None, verify: str, as_json: bool) -> None:
    """Mount a dataset read-only at DIR, an empty folder, until Ctrl-C or an unmount.

    Both are its good end: the exit status is 0. A block that is missing or corrupt is an I/O error for its reader, and
    a line here.
    """
    from shale.datasets import kernel

    line = WaitLine()
    is_mounted = False

    def report(event: Mapping[str, Any]) -> None:
        nonlocal is_mounted
        is_mounted = is_mounted or event.get("event") == "ready"
        if event.get("event") == "waiting":
            if sys.stderr.isatty():
                line.tell(str(event.get("host", "")), int(event.get("seconds", 0)))
            return
        line.clear()
        if as_json:
            print(json.dumps(event), flush=True)
        elif event.get("event") == "ready":
            click.echo(f"mounted at {plain(str(folder))}: Ctrl-C unmounts it", err=True)
        else:
            click.echo(plain(str(event.get("message", ""))), err=True)

    try:
        run_async(lambda: kernel.mount(source, folder, _cid(root), also=also, verify=verify, report=report))
    except KeyboardInterrupt:
        if not is_mounted:
            raise
        # As it was told to: it is unmounted by now.
        click.echo(f"{chr(10) if sys.stderr.isatty() else ''}unmounted {plain(str(folder))}", err=True)
    finally:
        line.clear()


@group.command()
@_source
@_folder
@_also
@_root
@json_option
def materialise(source: str, folder: Path, also: tuple[str, ...], root: str | None, as_json: bool) -> None:
    """Write a dataset as a plain directory DIR, which must not exist: verified, with its modes and times.

    It is there when all of it is; interrupted, nothing is.
    """
    from shale.datasets import kernel

    written = shown(
        "writing",
        lambda progress: kernel.materialise(source, folder, _cid(root), also=also, progress=progress),
    )
    if as_json:
        emit({"root": written.root, "files": written.files, "size": written.size})
        return
    click.echo(
        f"{plain(str(folder))}  {written.files} file{'' if written.files == 1 else 's'}, {format_bytes(written.size)}"
    )


def _entry(file: Listed) -> dict[str, Any]:
    entry: dict[str, Any] = {"path": file.path, "type": file.type, "size": file.size, "cid": file.cid}
    return entry | ({"target": file.target} if file.target is not None else {})


def _cid(text: str | None) -> Cid | None:
    return Cid(text) if text else None
