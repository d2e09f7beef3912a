"""Ceremony commands: make the circuits' keys together with people who needn't trust each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shale.client.cli.context import json_option, run_async
from shale.client.cli.output import emit, plain, waiting

_folder = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
_powers = click.option(
    "--powers",
    required=True,
    metavar="FILE.ptau",
    type=click.Path(path_type=Path),
    help="The powers of tau file of the ceremony.",
)


@click.group(no_args_is_help=True)
def group() -> None:
    """Make the circuits' keys, so that proofs hold if one contributor was honest.

    A ceremony is of one size of batch and lives in a folder DIR, which goes from contributor to contributor.
    """


@group.command()
@_folder
@click.option("--size", required=True, type=int, help="The batches that the keys are for: 1, 8, 64 or 256.")
@_powers
@click.option("--blake2b", default="", metavar="HEX", help="The file's BLAKE2b digest, as it was published.")
@json_option
def init(folder: Path, size: int, powers: Path, blake2b: str, as_json: bool) -> None:
    """Begin a ceremony in a new folder, on a public powers of tau file."""
    from shale.proofs import ceremony

    with waiting("checking the powers of tau"):
        transcript = run_async(lambda: ceremony.init(folder, size, powers, blake2b))
    _show(transcript, as_json)


@group.command()
@_folder
@click.option("--name", required=True, help="Who contributes, for everybody to read.")
@json_option
def contribute(folder: Path, name: str, as_json: bool) -> None:
    """Check the chain and add your contribution; publish the digest that this prints."""
    from shale.proofs import ceremony

    with waiting("contributing"):
        made = run_async(lambda: ceremony.contribute(folder, name))
    if as_json:
        emit(made)
        return
    click.echo(f"{made['file']}  sha256 {made['sha256']}")


@group.command()
@_folder
@_powers
@json_option
def verify(folder: Path, powers: Path, as_json: bool) -> None:
    """Check a whole ceremony: powers, start, every contribution, and the keys if it has ended."""
    from shale.proofs import ceremony

    with waiting("checking the ceremony"):
        transcript = run_async(lambda: ceremony.verify(folder, powers))
    _show(transcript, as_json)


@group.command()
@_folder
@_powers
@click.option("--beacon", required=True, metavar="HEX", help="16 to 256 bytes that nobody could know beforehand.")
@click.option("--source", required=True, help="Where everybody finds the beacon, such as drand round 5000000.")
@click.option("--out", required=True, metavar="KEYS", type=click.Path(path_type=Path), help="A folder for the keys.")
@json_option
def finalise(folder: Path, powers: Path, beacon: str, source: str, out: Path, as_json: bool) -> None:
    """Check all of it, close the chain with a beacon and write the keys."""
    from shale.proofs import ceremony

    with waiting("making the keys"):
        transcript = run_async(lambda: ceremony.finalise(folder, powers, beacon, source, out.absolute()))
    _show(transcript, as_json)


@group.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--keys", required=True, metavar="KEYS", type=click.Path(path_type=Path), help="What finalise wrote.")
@click.option("--out", required=True, metavar="SOURCE", type=click.Path(path_type=Path), help="kernel/ledger/keys.")
@json_option
def manifest(folders: tuple[Path, ...], keys: Path, out: Path, as_json: bool) -> None:
    """Put the keys of the finalised ceremonies, one DIR for each size, into the source tree; pin the hash that this
    prints.

    Every file in KEYS must be the one that its ceremony's transcript names, and each contribution be made from the one
    before it. Whether the powers and the beacon lead to these keys takes long: shale ceremony verify checks that.
    """
    from shale.proofs import ceremony

    with waiting("checking keys and contributions"):
        pinned = run_async(lambda: ceremony.manifest(folders, keys.absolute(), out.absolute()))
    if as_json:
        emit({"keys_hash": pinned})
        return
    click.echo(f"KeysHash {pinned}")
    click.echo(
        "not checked here: that powers and beacon lead to these keys; "
        "shale ceremony verify DIR --powers FILE.ptau does, for each DIR",
        err=True,
    )


def _show(transcript: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit(transcript)
        return
    click.echo(f"size      {transcript['size']}, {transcript['constraints']} constraints")
    click.echo(f"powers    2^{transcript['powers']['power']}, blake2b {transcript['powers']['blake2b']}")
    for made in transcript["contributions"]:
        click.echo(f"{made['file']}  sha256 {made['sha256']}  {plain(made['name'])}")
    final = transcript.get("final")
    if final:
        click.echo(f"beacon    {final['beacon']} ({plain(final['beacon_source'])})")
        click.echo(f"keys      verifying key {final['vk_hash']}, proving key sha256 {final['proving_key']}")
