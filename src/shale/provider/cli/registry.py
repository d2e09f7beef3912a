"""`shale provider miner` and `retire`: what the operator says of itself in the registry, besides where it serves."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shale.errors import ConfigError
from shale.paths import Home, private_dir
from shale.provider.cli.door import as_json
from shale.provider.cli.passwords import password_file, password_of

if TYPE_CHECKING:
    from shale.chain.chain import Chain, Receipt
    from shale.units import Address


@click.group("miner")
def miner() -> None:
    """The miner that you act for, as the registry has it: clients see it beside your name."""


@miner.command()
@click.argument("miner_id", metavar="f01234")
@password_file
@as_json
def bind(miner_id: str, password_file: Path | None, json_output: bool) -> None:
    """Bind yourself to a miner: your key controls it, or its owner authorized you (shale wallet authorize-miner)."""
    from shale.chain.lotus import miner_number

    number = miner_number(miner_id)
    _say(*_send(password_file, lambda chain, _: chain.bind_miner(number)), f"bound to f0{number}", json_output)


@miner.command()
@password_file
@as_json
def unbind(password_file: Path | None, json_output: bool) -> None:
    """Be nobody's: take the miner out of your record."""
    _say(*_send(password_file, lambda chain, _: chain.bind_miner(0)), "bound to no miner", json_output)


@miner.command()
@click.argument("operator", required=False)
@password_file
@as_json
def recheck(operator: str | None, password_file: Path | None, json_output: bool) -> None:
    """Have the registry ask the miner again whether OPERATOR (yours, if none is given) still may speak for it."""
    from shale.addresses import parse_address

    asked = parse_address(operator) if operator else None
    receipt, found = _send(password_file, lambda chain, me: chain.recheck(asked or me), asked)
    _say(receipt, found, f"bound to f0{found}" if found else "unbound: the miner says no", json_output)


@click.command()
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@password_file
@as_json
def retire(yes: bool, password_file: Path | None, json_output: bool) -> None:
    """Leave the registry's list: clients no longer find you. Leases that run go on; the next start registers again."""
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("to retire needs a yes", "give -y")
        click.confirm("Take this provider off the list?", abort=True, err=True)
    _say(*_send(password_file, lambda chain, _: chain.retire()), "retired", json_output)


def _send(
    file: Path | None, act: Callable[[Chain, Address], Awaitable[Receipt]], whose: Address | None = None
) -> tuple[Receipt, int]:
    """Send one transaction with the operator's key: its receipt, and the miner that the record has after it."""
    from shale.chain.fvm import FvmChain
    from shale.chain.network import Network
    from shale.provider.config import load_config
    from shale.provider.identity import open_identity

    home = Home.default()
    config = load_config(home)
    network = Network.load(home, config.network)
    identity = open_identity(home, password_of(file))

    async def send() -> tuple[Receipt, int]:
        chain = FvmChain(
            network.deployment,
            network.rpc_url,
            identity.account,
            database=private_dir(home.provider) / "chain.db",
            finality=network.finality,
            max_gas_fee=network.max_gas_fee if config.gas_fee is None else config.gas_fee,
            checked=network.checked(home),
        )
        try:
            await chain.check()
            receipt = await act(chain, identity.operator)
            record = await chain.provider(whose or identity.operator)
            return receipt, record.miner if record else 0
        finally:
            await chain.close()

    return asyncio.run(send())


def _say(receipt: Receipt, found: int, words: str, json_output: bool) -> None:
    if json_output:
        click.echo(json.dumps({"miner": f"f0{found}" if found else None, "tx": receipt.tx, "block": receipt.block}))
    else:
        click.echo(f"{words}  (transaction {receipt.tx})")
