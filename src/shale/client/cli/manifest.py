"""The manifest command: says what a dataset is and which pieces make it, signed with the client's wallet."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shale.client.cli.bars import shown
from shale.client.cli.context import Context, json_option, password_option
from shale.client.cli.output import emit
from shale.errors import Refused
from shale.units import Cid

if TYPE_CHECKING:
    from shale.datasets.kernel import Indexed


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--name", required=True, help="What it is called.")
@click.option("--description", default="", help="One line on what it holds.")
@click.option("--licence", default="", help="Under which terms, such as CC-BY-4.0.")
@click.option("--root", metavar="CID", help="The dataset's root, for CARs whose headers do not name just one.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The file to write.")
@password_option
@json_option
def manifest(
    sources: tuple[str, ...],
    name: str,
    description: str,
    licence: str,
    root: str | None,
    out: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Sign what a dataset is: its name, root and pieces, in the order of the SOURCEs, which are read whole.

    A provider that stores the pieces offers it by `shale provider datasets add --manifest`.
    """
    from shale.client.wallet import open_wallet
    from shale.datasets.manifest import Manifest, ManifestPiece, manifest_to_json, sign
    from shale.paths import write_private

    if out.exists():
        raise Refused(f"{out} is there already", "choose another --out")
    context = Context()
    account = open_wallet(context.home, context.password(password_file))
    indexed = _indexed(sources, Cid(root) if root else None)
    pieces = tuple(ManifestPiece(piece.v1, piece.raw_size, piece.padded_size) for piece in indexed.pieces)
    signed = manifest_to_json(sign(Manifest(name, description, licence, indexed.root, pieces), account))
    try:
        # Its bytes are for everybody; it is written in one step like everything else.
        write_private(out.absolute(), json.dumps(signed, indent=2, ensure_ascii=False).encode() + b"\n", 0o644)
    except OSError as error:
        raise Refused(f"{out} can't be written ({error.strerror})", "choose another --out") from None
    if as_json:
        emit(signed | {"file": str(out)})
        return
    click.echo(f"root      {indexed.root}")
    for piece in pieces:
        click.echo(f"piece     {piece.piece}")
    click.echo(f"signer    {account.address}")
    click.echo(f"written to {out}")


def _indexed(sources: tuple[str, ...], root: Cid | None) -> Indexed:
    """The dataset that the sources make: every block of its tree is in them, and each was committed to."""
    from shale.datasets import kernel

    with tempfile.TemporaryDirectory(prefix="shale-") as folder:
        return shown("reading", lambda progress: kernel.index(sources, Path(folder) / "index", root, progress))
