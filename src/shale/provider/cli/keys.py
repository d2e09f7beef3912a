"""`shale provider keys`: the proving keys of this machine: which sizes of batch it can prove."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import TYPE_CHECKING

import click

from shale.errors import ConfigError, Refused
from shale.paths import binary, keys_dir
from shale.provider.cli.door import as_json
from shale.provider.cli.reports import Reports

if TYPE_CHECKING:
    from shale.proofs.prover import Circuit, KeyFile

_sizes = click.option(
    "--size",
    "sizes",
    type=click.IntRange(1, 256),
    multiple=True,
    help="Of the batch: 1, 8, 64 or 256; once for each.  [default: all]",
)


@click.group("keys")
def keys() -> None:
    """The proving keys: a batch of each size needs its own."""


@keys.command("list")
@as_json
def list_keys(json_output: bool) -> None:
    """Show which sizes of batch this machine can prove."""
    circuit = _circuit()
    if json_output:
        sizes = [
            {"size": size.size, "constraints": size.constraints, "vk_hash": size.vk_hash, "provable": size.provable}
            for size in circuit.sizes
        ]
        click.echo(
            json.dumps(
                {
                    "folder": str(keys_dir()),
                    "keys_hash": circuit.keys_hash,
                    "unsafe_development": circuit.unsafe_development,
                    "sizes": sizes,
                }
            )
        )
        return
    click.echo(f"{keys_dir()}{', development keys: not for real money' if circuit.unsafe_development else ''}")
    for size in circuit.sizes:
        has = "proven here" if size.provable else f"no key: {_way(circuit, size.size)}"
        click.echo(f"{size.size:4} leases  {size.constraints:9,} constraints  {has}")


@keys.command()
@click.option("--size", type=click.IntRange(1, 256), required=True, help="Of the batch: 1, 8, 64 or 256.")
@as_json
def make(size: int, json_output: bool) -> None:
    """Make the development key of one size; that of 256 takes minutes and some gigabytes of memory."""
    from shale.proofs.fetching import chosen

    circuit = _circuit()
    chosen(circuit, [size])
    if not circuit.unsafe_development:
        raise ConfigError("these keys are of a ceremony: they are fetched, not made", _way(circuit, size))
    words = [
        str(binary("shale-kernel")),
        "setup",
        "--unsafe-development",
        "--keys",
        str(keys_dir()),
        "--sizes",
        str(size),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Refused(f"the key was not made ({last[:300]})", "see how much memory and disk is free")
    click.echo(json.dumps({"size": size, "folder": str(keys_dir())}) if json_output else f"made in {keys_dir()}")


@keys.command()
@click.argument("source")
@_sizes
@as_json
def fetch(source: str, sizes: tuple[int, ...], json_output: bool) -> None:
    """Fetch keys, and check each file by its hash before it is put to use.

    SOURCE is a folder or an http(s) URL that holds the files of a ceremony, or of another provider. What is here and
    sound isn't fetched; what broke off goes on where it was when the same command is run again.
    """
    from shale.clock import SystemClock
    from shale.proofs import fetching
    from shale.proofs.key_sources import source_of

    opened = source_of(source)
    circuit = _circuit()
    with Reports(quiet=json_output) as reports:
        work = fetching.fetch(opened, circuit, sizes, keys_dir(), _Shown(reports), SystemClock())
        done = asyncio.run(work)
    if json_output:
        click.echo(
            json.dumps(
                {
                    "folder": str(keys_dir()),
                    "source": opened.place,
                    "fetched": [
                        {"name": file.name, "sha256": file.sha256, "size": size} for file, size in done.brought
                    ],
                    "had": [{"name": file.name, "sha256": file.sha256} for file in done.had],
                }
            )
        )
    elif not done.brought:
        click.echo(f"nothing to fetch: all of it is sound in {keys_dir()}")


@keys.command()
@_sizes
@as_json
@click.pass_context
def check(context: click.Context, sizes: tuple[int, ...], json_output: bool) -> None:
    """Hash the keys that are here: good, missing or damaged. The exit status is 1 if any is damaged."""
    from shale.proofs.fetching import chosen
    from shale.proofs.key_files import State, state_of, state_of_size

    circuit = _circuit()
    with Reports(quiet=json_output) as reports:
        shown = _Shown(reports)
        found = {
            size: {file: state_of(keys_dir(), file, shown.moved) for file in size.files}
            for size in chosen(circuit, sizes)
        }
    states = {size: state_of_size(files.values()) for size, files in found.items()}
    if json_output:
        told = [
            {
                "size": size.size,
                "state": states[size],
                "files": [{"name": file.name, "sha256": file.sha256, "state": state} for file, state in files.items()],
            }
            for size, files in found.items()
        ]
        click.echo(json.dumps({"folder": str(keys_dir()), "keys_hash": circuit.keys_hash, "sizes": told}))
    else:
        for size, files in found.items():
            bad = [f"{state} {file.name}" for file, state in files.items() if state is not State.GOOD]
            click.echo(f"{size.size:4} leases  {', '.join(bad) or State.GOOD}")
        if set(states.values()) != {State.GOOD}:
            click.echo("shale provider keys fetch SOURCE brings what is missing or damaged")
    context.exit(1 if State.DAMAGED in states.values() else 0)


class _Shown:
    """Shows a fetch as it goes."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    def moved(self, name: str, done: int, total: int | None) -> None:
        self._reports.show({"reading": name, "done": done, "total": total})

    def again(self, place: str, attempt: int) -> None:
        from shale.proofs.fetching import ATTEMPTS

        self._reports.show({"waiting": place, "attempt": attempt, "attempts": ATTEMPTS})

    def fetched(self, file: KeyFile, size: int) -> None:
        self._reports.show({"fetched": file.name, "size": size})


def _way(circuit: Circuit, size: int) -> str:
    """To a key that is not here."""
    if circuit.unsafe_development:
        return f"shale provider keys make --size {size} (or fetch SOURCE)"
    return f"shale provider keys fetch SOURCE --size {size}"


def _circuit() -> Circuit:
    from shale.proofs.kernel import KernelProver

    async def ask() -> Circuit:
        prover = KernelProver()
        try:
            return await prover.circuit()
        finally:
            await prover.close()

    return asyncio.run(ask())
