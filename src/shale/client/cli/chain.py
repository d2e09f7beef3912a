"""Chain commands: a chain of your own on this machine, Shale's contracts on any chain, and networks by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shale.addresses import filecoin_form, parse_address
from shale.client.cli import lotus
from shale.client.cli.context import Context, json_option, password_option, run_async
from shale.client.cli.output import emit
from shale.errors import ConfigError, Refused, ShaleError
from shale.units import AttoFil

if TYPE_CHECKING:
    from shale.chain.devnet import Devnet, DevnetStatus
    from shale.chain.network import Network
    from shale.market.accounts import Account
    from shale.paths import Home

DEVNET = "devnet"


@click.group(no_args_is_help=True)
def chain_group() -> None:
    """A chain of your own on this machine (anvil with Filecoin's devnet id), and Shale's contracts on any chain."""


@chain_group.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1.  [default: the last one, or 8545]")
@json_option
def up(port: int | None, as_json: bool) -> None:
    """Start the chain; it keeps its state and lives on until `shale chain down`."""
    _say_status(run_async(lambda: _devnet().start(port)), as_json)


@chain_group.command()
@json_option
def down(as_json: bool) -> None:
    """Stop the chain; its state stays."""
    stopped = run_async(lambda: _devnet().stop())
    if as_json:
        emit({"stopped": stopped})
    else:
        click.echo("the chain is stopped" if stopped else "the chain was not running")


@chain_group.command()
@json_option
def status(as_json: bool) -> None:
    """Show whether the chain runs."""
    _say_status(run_async(lambda: _devnet().status()), as_json)


@chain_group.command()
@click.option("--name", help="Name of the network to write.  [default: devnet on a devnet]")
@click.option("--rpc-url", help="Node of the chain to deploy on.  [default: your own chain]")
@click.option("--keystore", type=click.Path(path_type=Path), help="Key that pays for it; a devnet needs none.")
@password_option
@click.option("--force", is_flag=True, help="Replace a network of this name that still answers.")
@json_option
def deploy(
    name: str | None,
    rpc_url: str | None,
    keystore: Path | None,
    password_file: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Put Shale's contracts on a chain and write the network's file; nobody owns them afterwards."""
    from shale.chain.network import Network, checked_name
    from shale.chain.rpc import checked_url

    context = Context()
    account = _account(context, keystore, password_file) if keystore else None

    async def work() -> Network:
        from shale.chain.deploy import chain_id_of
        from shale.chain.deploy import deploy as put
        from shale.chain.devnet import CHAIN_ID

        url = checked_url(rpc_url) if rpc_url else await _own_url(context.home)
        chosen = name or (DEVNET if await chain_id_of(url) == CHAIN_ID else "")
        if not chosen:
            raise ConfigError("the network needs a name", "give one with --name")
        if not force and await _answers(context.home, checked_name(chosen)):
            raise Refused(f"the network {chosen} is there and answers", "choose another --name, or add --force")
        return Network(chosen, url, await put(url, account, context.home.client / "chain.db" if account else None))

    network = run_async(work)
    path = network.save(context.home)
    if as_json:
        emit(network.to_json() | {"file": str(path)})
    else:
        _say_network(network)
        click.echo(f"written to {path}")


@chain_group.command()
@click.argument("address")
@click.argument("amount")
@json_option
def fund(address: str, amount: str, as_json: bool) -> None:
    """Make AMOUNT (such as "10 FIL") for ADDRESS on your own chain."""
    owner, wanted = parse_address(address), AttoFil.parse(amount)
    context = Context()

    async def work() -> AttoFil:
        from shale.chain.devnet import fund as make
        from shale.chain.network import Network

        if context.network_name or Network.names(context.home):
            url = Network.load(context.home, context.network_name).rpc_url
        else:
            url = await _own_url(context.home)
        return await make(url, owner, wanted)

    balance = run_async(work)
    if as_json:
        emit(
            {
                "address": owner,
                "f410": filecoin_form(owner),
                "added_attofil": str(wanted.value),
                "balance_attofil": str(balance.value),
            }
        )
    else:
        click.echo(f"{owner} has {balance}")


chain_group.add_command(lotus.lotus)


@click.group(no_args_is_help=True)
def network_group() -> None:
    """The chains that you use: a name for an RPC URL and the addresses of Shale's contracts there."""


@network_group.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the networks that are set up."""
    from shale.chain.network import Network
    from shale.chain.rpc import place_of

    home = Context().home
    known = [Network.load(home, name) for name in Network.names(home)]
    if as_json:
        emit([network.to_json() for network in known])
        return
    for network in known:
        click.echo(f"{network.name:16} chain {network.deployment.chain_id:<10} {place_of(network.rpc_url)}")
    if not known:
        click.echo("no network is set up: run shale chain deploy, or shale network add", err=True)


@network_group.command()
@click.argument("name")
@click.option("--rpc-url", help="Node to reach the chain by, in place of the file's.")
@click.option(
    "--file", "source", type=click.Path(path_type=Path), required=True, help="What `shale chain deploy` wrote."
)
@click.option("--max-gas-fee", metavar="FIL", help="What one transaction's gas may cost at most.  [default: 2 FIL]")
@click.option("--force", is_flag=True, help="Replace a network of this name.")
@json_option
def add(name: str, rpc_url: str | None, source: Path, max_gas_fee: str | None, force: bool, as_json: bool) -> None:
    """Add a network from the file of somebody who deployed it, after a look whether its contracts answer."""
    from shale.chain.network import Network, network_from_json, read_json

    home = Context().home
    network = network_from_json(read_json(source), name, rpc_url)
    if max_gas_fee is not None:
        network = replace(network, max_gas_fee=AttoFil.parse(max_gas_fee))
    if name in Network.names(home) and not force:
        raise Refused(f"there is a network {name}", "choose another name, or add --force")
    run_async(lambda: _check(network))
    path = network.save(home)
    if as_json:
        emit(network.to_json() | {"file": str(path)})
    else:
        _say_network(network)


@network_group.command()
@click.argument("name", required=False)
@json_option
def show(name: str | None, as_json: bool) -> None:
    """Show a network: its RPC URL and addresses."""
    from shale.chain.network import Network

    context = Context()
    network = Network.load(context.home, name or context.network_name)
    if as_json:
        emit(network.to_json())
    else:
        _say_network(network)


def _devnet() -> Devnet:
    from shale.chain.devnet import Devnet

    return Devnet(Context().home.devnet)


async def _own_url(home: Home) -> str:
    from shale.chain.devnet import Devnet

    found = await Devnet(home.devnet).status()
    if not found.running:
        raise ConfigError("your own chain is not running", "run shale chain up, or give --rpc-url")
    return found.rpc_url


def _account(context: Context, keystore: Path, password_file: Path | None) -> Account:
    from shale.client import wallet
    from shale.market.keystore import decrypt

    raw = wallet.read_keystore(keystore)
    return decrypt(raw, context.password(password_file, "Password of the keystore"))


async def _answers(home: Home, name: str) -> bool:
    """Whether a network of this name is there, and its contracts too."""
    from shale.chain.network import Network

    if name not in Network.names(home):
        return False
    try:
        await _check(Network.load(home, name))
    except ShaleError:
        return False
    return True


async def _check(network: Network) -> None:
    from shale.chain.fvm import FvmChain

    chain = FvmChain(network.deployment, network.rpc_url, None)
    try:
        await chain.check()
    finally:
        await chain.close()


def _say_status(found: DevnetStatus, as_json: bool) -> None:
    if as_json:
        shown: dict[str, Any] = {"running": found.running, "rpc_url": found.rpc_url}
        emit(shown | {"pid": found.pid, "block": found.block})
    elif found.running:
        click.echo(f"the chain runs at {found.rpc_url}, block {found.block} (process {found.pid})")
    else:
        click.echo("the chain is not running: shale chain up starts it")


def _say_network(network: Network) -> None:
    for key, value in network.to_json().items():
        click.echo(f"{key:9} {value}")
