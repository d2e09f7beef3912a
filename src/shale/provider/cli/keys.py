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

if TYPE_CHECKING:
    from shale.proofs.prover import Circuit


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
        has = "proven here" if size.provable else f"no key: shale provider keys make --size {size.size}"
        click.echo(f"{size.size:4} leases  {size.constraints:9,} constraints  {has}")


@keys.command()
@click.option("--size", type=click.IntRange(1, 256), required=True, help="Of the batch: 1, 8, 64 or 256.")
@as_json
def make(size: int, json_output: bool) -> None:
    """Make the development key of one size; that of 256 takes minutes and some gigabytes of memory."""
    circuit = _circuit()
    if size not in [entry.size for entry in circuit.sizes]:
        raise Refused(f"there is no circuit of size {size}", "give 1, 8, 64 or 256")
    if not circuit.unsafe_development:
        raise ConfigError("these keys are of a ceremony: they are fetched, not made", "see shale ceremony --help")
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


def _circuit() -> Circuit:
    from shale.proofs.kernel import KernelProver

    async def ask() -> Circuit:
        prover = KernelProver()
        try:
            return await prover.circuit()
        finally:
            await prover.close()

    return asyncio.run(ask())
