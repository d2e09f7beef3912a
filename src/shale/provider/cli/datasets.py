"""`shale provider datasets …`: what this provider offers to compute on: add it, look at it, check it, take it out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from shale.errors import ConfigError, Refused
from shale.provider.cli.door import as_json, ask, follow
from shale.provider.cli.reports import Reports, left_out, why


@click.group()
def datasets() -> None:
    """The datasets that this provider offers."""


@datasets.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--name", default="", help="Name shown to clients.  [default: the manifest's, or the file's]")
@click.option("--root", default="", metavar="CID", help="Take all sources as the pieces of one dataset with this root.")
@click.option(
    "--manifest",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A signed manifest (shale piece manifest) that says which pieces make the dataset.",
)
@click.option("--lotus", default="", metavar="URL", help="Lotus node to ask for claims, in place of the settings'.")
@click.option("--unclaimed", is_flag=True, help="Take the CARs of sectors that have no live claim too.")
@as_json
def add(
    sources: tuple[str, ...],
    name: str,
    root: str,
    manifest: Path | None,
    lotus: str,
    unclaimed: bool,
    json_output: bool,
) -> None:
    """Offer datasets: each SOURCE is read whole, every block is hashed, and it is offered if it is sound.

    A SOURCE is a CAR, an unsealed sector (s-t01000-7), a folder of them or of Curio's park (s-t00-12), or what
    `shale piece` takes: sector:PATH?offset=N&size=N, park:PATH, aggregate:SOURCE#N, http://HOST/piece/CID.
    The same dataset from other sources is a copy more: the best one is offered. Ctrl-C stops it; what was added until
    then stays.
    """
    body: dict[str, Any] = {
        "sources": [_absolute(source) for source in sources],
        "name": name,
        "lotus": lotus,
        "unclaimed": unclaimed,
    }
    if root:
        body["root"] = root
    if manifest is not None:
        body["manifest"] = _json_of(manifest)
    added: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    with Reports(quiet=json_output) as reports:
        for line in reports.of(follow("/datasets", body)):
            if line.get("dataset"):
                added.append(line["dataset"])
            elif "skipped" in line:
                skipped.append({"source": line["skipped"]} | _reason(line))
    if not added:
        said = f"none of {len(skipped)} sources is a sound dataset"
        if len(skipped) == 1:
            # Without --json it has just been shown.
            said = left_out(skipped[0]["source"], why(skipped[0])) if json_output else "its source was left out"
        raise Refused(f"nothing was added: {said}", "look into it with shale piece inspect")
    if json_output:
        click.echo(json.dumps({"added": added, "skipped": skipped}))


@datasets.command("list")
@as_json
def list_(json_output: bool) -> None:
    """Show them: pieces, sectors, claims, whether they can be read, when commitments and blocks were checked."""
    raw = ask("GET", "/datasets")
    if json_output:
        click.echo(json.dumps(raw["datasets"]))
        return
    from shale.provider.screens import show_datasets

    show_datasets(raw["datasets"], raw["trouble"])


@datasets.command()
@click.argument("root", required=False)
@as_json
@click.pass_context
def check(context: click.Context, root: str | None, json_output: bool) -> None:
    """Read the pieces of one dataset, or of all, again, and hash every block.

    Sound copies are offered again, faulty ones no longer. The exit status is 1 if any is faulty, or can't be read now.
    """
    sound, faulty, unread = [], [], []
    with Reports(quiet=json_output) as reports:
        for line in reports.of(follow("/datasets/check", {"root": root} if root else {})):
            if "sound" in line:
                sound.append(line["sound"])
            elif "faulty" in line:
                faulty.append({"root": line["faulty"], "copy": line["copy"]} | _reason(line))
            elif "unread" in line:
                unread.append({"root": line["unread"], "copy": line["copy"]} | _reason(line))
    if json_output:
        click.echo(json.dumps({"sound": sound, "faulty": faulty, "unread": unread}))
    elif not sound and not faulty and not unread:
        click.echo("there are no datasets: shale provider datasets add SOURCE")
    if faulty or unread:
        context.exit(1)


@datasets.command()
@click.argument("root")
@click.option("--copy", type=click.IntRange(min=0), help="Only the copy with this number; the others stay.")
@as_json
def remove(root: str, copy: int | None, json_output: bool) -> None:
    """Stop offering one; its sources stay."""
    ask("DELETE", f"/datasets/{root}" + ("" if copy is None else f"?copy={copy}"))
    which = f"copy {copy} of {root}" if copy is not None else root
    click.echo(json.dumps({"removed": root, "copy": copy}) if json_output else f"removed {which}")


def _reason(line: dict[str, Any]) -> dict[str, str]:
    return {key: line[key] for key in ("why", "hint") if line.get(key)}


def _absolute(source: str) -> str:
    """A path as the daemon finds it from its own folder; the paths inside of other sources too."""
    from shale.datasets.run import is_source

    if not is_source(source):
        return str(Path(source).absolute())
    scheme, _, rest = source.partition(":")
    if scheme in ("http", "https"):
        return source
    return f"{scheme}:{_absolute(rest) if scheme == 'aggregate' else Path(rest).absolute()}"


def _json_of(manifest: Path) -> Any:
    from shale.datasets.manifest import manifest_to_json, read_manifest

    try:
        with manifest.open("rb") as file:
            return manifest_to_json(read_manifest(file.read(1 << 20)))
    except OSError as error:
        raise ConfigError(f"{manifest} can't be read ({error.strerror})", "check its path and mode") from None
